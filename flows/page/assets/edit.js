// Editing the mask in the zoom: brush, eraser, regions, and found objects that are clicked off; by hand or by keys.
const TOOLS = [
  ['brush', '+ Brush', 'goes too'], ['eraser', '− Eraser', 'stays'], ['region', '+ Region', 'all of a box goes too'],
  ['spare', '− Region', 'all of a box stays'], ['object', '✕ Object', 'a found object that is not meant stays'],
];
const SPACING = 0.25; // of the radius, between two points of a line
let editingNow = false;
let editTool = 'brush';
let radius = null; // of the brush, in pixels of the picture
let line = null; // the brush's, while it is drawn: {brush, radius, erase}
let hover = null; // [x, y] under the mouse
let drawing = null; // the context of the mask's drawing

const editable = (row) => !picking && Boolean(row.width) && ['removed', 'masked', 'nothing found', 'failed'].includes(row.status);
const editsOf = (row) => decisionOf(row).mask;
const isPainting = () => editTool === 'brush' || editTool === 'eraser';

function toggleEditing() {
  if (!editingNow && !editable(zoomed)) { say('this picture has no mask to edit'); return; }
  setMode(editingNow ? '' : 'edit');
  showZoom();
  byId('stage').focus();
  say(editingNow ? 'edit the mask: 1 to 5 choose a tool; arrows and Enter work too' : 'editing ended');
}

function startEdit() {
  radius ??= Math.max(2, Math.round(Math.max(...wholeOf(zoomed).slice(2)) / 50));
  [line, hover] = [null, null];
}

/** Whether the mask may be edited: what was picked is looked for anew, and no mask is left to edit then. */
function mayEdit() {
  const { points, boxes, review: verdict } = decisionOf(zoomed);
  if (verdict === 'keep') return tell('The original is kept. Press o again to edit its mask.');
  if (points.length || boxes.length) return tell('Points or boxes are picked here, so the object is looked for again. Clear them (p) to edit the mask.');
  return true;
}

function tell(words) {
  byId('pick-tools').querySelector('.marks').textContent = words;
  say(words);
  return false;
}

/** Keeps the edits. On a result they mean that it is to be done again; on a mask that waits they are all there is to say. */
function setEdits(edits) {
  const before = decisionOf(zoomed);
  const earlier = before.mask.length ? before.earlier ?? null : before.review; // what was decided before any edit
  const verdict = zoomed.status === 'masked' ? before.review : edits.length ? 'reject' : earlier;
  const rejected = verdict === 'reject' && before.review !== 'reject';
  decide(zoomed, { mask: edits, edited: true, review: verdict, earlier });
  layEditor();
  showMarks();
  say(`${many(edits.length, 'edit')}${rejected ? '; rejected, so that it is done again' : ''}`);
}

const addEdit = (edit) => setEdits([...editsOf(zoomed), edit]);

/** Takes the last edit back, or all of them. */
function undoEdit(all = false) {
  const edits = editsOf(zoomed);
  if (line) dropLine();
  else if (edits.length && mayEdit()) setEdits(all === true ? [] : edits.slice(0, -1));
}

/** The mask with its edits over the picture in the zoom. */
function layEditor() {
  const view = zoomView();
  drawing = view && !view.classList.contains('bare') ? layMask(view, zoomed, frameOf(zoomed)) : null;
}

function showEditTools() {
  byId('zoom').classList.toggle('brushing', isPainting());
  const edits = editsOf(zoomed);
  byId('pick-tools').replaceChildren(
    ...TOOLS.map(([kind, words, title], place) => button(words, `${title}: ${place + 1}`, () => chooseTool(kind), { 'aria-pressed': String(editTool === kind), 'aria-keyshortcuts': String(place + 1) })),
    button('Smaller', '[', () => resize(0.8)), button('Larger', ']', () => resize(1.25)),
    button('Undo', 'u', () => undoEdit(), { disabled: !edits.length }),
    button('As found', '0: without any edit', () => undoEdit(true), { disabled: !edits.length }),
    element('span', { className: 'marks' }, [
      isPainting() && `brush of ${many(Math.round(2 * radius), 'pixel')}`, edits.length && many(edits.length, 'edit'),
      edits.some((edit) => edit.object) && !readable2d(drawing) && 'shown with a ✕ alone: the shape of an object is only known to cleanplate review --serve',
    ].filter(Boolean).join(', ')));
  drawEditor();
}

function chooseTool(kind) {
  endLine();
  [editTool, corner] = [kind, null];
  showMarks();
  say(TOOLS.find(([one]) => one === kind)[1]);
}

function resize(by) {
  const [width, height] = wholeOf(zoomed).slice(2);
  radius = Math.min(Math.max(0.5, radius * by), Math.max(width, height) / 2);
  if (radius > 2) radius = Math.round(radius);
  showMarks();
  say(`brush of ${many(Math.round(2 * radius), 'pixel')}`);
}

/** What a tool is about to do, over the picture: the ring of the brush, the box of a region. */
function drawEditor() {
  const view = zoomView();
  const svg = view && paintMarks(view, zoomed, frameOf(zoomed));
  if (!svg) return;
  const [first, second] = [drag?.from ?? corner, drag?.to ?? cursor];
  if (first && second && !isPainting() && editTool !== 'object') svg.append(frame(boxOf(first, second), 'box open'));
  const at = cursor ?? hover;
  if (at && isPainting()) svg.append(shape('circle', { cx: at[0] + 0.5, cy: at[1] + 0.5, r: Math.max(radius, 2 * svg.unit), class: 'ring' }));
  if (cursor) svg.append(crossHair(cursor, svg.unit));
}

function beginLine(at, erase) {
  line = { brush: [at], radius, ...(erase && { erase: true }) };
  if (drawing) drawEdit(drawing, line);
}

function extendLine(at) {
  const [x, y] = line.brush.at(-1);
  if (Math.hypot(at[0] - x, at[1] - y) < Math.max(1, SPACING * line.radius)) return;
  line.brush.push(at);
  if (drawing) drawEdit(drawing, { ...line, brush: line.brush.slice(-2) });
}

function endLine() {
  const made = line;
  line = null;
  if (made) addEdit(made);
}

function dropLine() {
  line = null;
  layEditor();
}

function addRegion(first, second, erase) {
  addEdit({ region: boxOf(first, second), ...(erase && { erase: true }) });
}

/** Clicks the object off that is at a pixel, or near it. */
function clickOff(at) {
  const pixels = drawing && readable2d(drawing);
  const place = pixels && nearestOf(drawing, pixels, at);
  if (pixels && !place) { tell('There is no part of the mask there.'); return; }
  const there = place && drawing.getTransform().inverse().transformPoint({ x: place[0] + 0.5, y: place[1] + 0.5 });
  addEdit({ object: there ? [Math.floor(there.x), Math.floor(there.y)] : at });
}

const TOOL_KEYS = Object.fromEntries(TOOLS.map(([kind], place) => [String(place + 1), kind]));

/** Digits choose a tool, arrows move the cross-hair, Enter uses the tool there: down and up again with a brush. */
function editByKey(event) {
  if (TOOL_KEYS[event.key]) chooseTool(TOOL_KEYS[event.key]);
  else if (event.key === '[' || event.key === ']') resize(event.key === '[' ? 0.8 : 1.25);
  else if (event.key === 'u' || event.key === 'Backspace') undoEdit();
  else if (event.key === '0' || event.key === 'Delete') undoEdit(true);
  else if (moveCursor(event)) { if (line) extendLine(cursor); drawEditor(); }
  else if (event.key === 'Enter' && event.target.id === 'stage') useTool(event.shiftKey);
  else return false;
  return true;
}

function useTool(other) {
  cursor ??= middleOfFrame();
  if (!mayEdit()) return;
  if (isPainting()) {
    if (line) { extendLine(cursor); endLine(); } else { beginLine(cursor, (editTool === 'eraser') !== other); say('brush down: arrows draw, Enter lifts it'); }
  } else if (editTool === 'object') {
    clickOff(cursor);
  } else {
    const first = corner;
    corner = first ? null : cursor;
    if (first) addRegion(first, cursor, (editTool === 'spare') !== other);
  }
  drawEditor();
}

const startsOn = (event) => editingNow && event.button === 0 && event.isPrimary && event.target.closest('.view:not(.bare)');

function startEditing() {
  const stage = byId('stage');
  stage.addEventListener('pointerdown', (event) => {
    if (!startsOn(event)) return;
    event.preventDefault();
    stage.focus();
    if (!mayEdit()) return;
    stage.setPointerCapture(event.pointerId);
    endLine();
    cursor = null;
    drag = { from: pixelAt(event), erase: (editTool === 'eraser' || editTool === 'spare') !== event.shiftKey };
    if (isPainting()) beginLine(drag.from, drag.erase);
  });
  stage.addEventListener('pointermove', (event) => {
    if (!editingNow || !zoomView() || zoomView().classList.contains('bare')) return;
    hover = pixelAt(event);
    if (drag) drag.to = hover;
    if (drag && line) extendLine(hover);
    drawEditor();
  });
  stage.addEventListener('pointerup', (event) => {
    if (!editingNow || !drag) return;
    const { from, erase } = drag;
    drag = null;
    if (line) endLine();
    else if (editTool === 'object') clickOff(from);
    else addRegion(from, pixelAt(event), erase);
  });
  stage.addEventListener('pointercancel', () => { if (editingNow) { drag = null; dropLine(); drawEditor(); } }); // a second finger
  stage.addEventListener('pointerleave', () => { hover = null; if (editingNow) drawEditor(); });
}
