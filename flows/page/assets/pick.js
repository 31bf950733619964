// Picking: points and boxes on the picture in the zoom, in pixels of the upright picture, however large it is shown.
const MARK = 'http://www.w3.org/2000/svg';
const FAR = 5; // screen pixels; a shorter drag is a click
let pickingNow = false;
let tool = 'object'; // or 'background', 'box'
let cursor = null; // [x, y] of the keyboard's cross-hair
let corner = null; // where the keyboard began a box
let drag = null;

/** Points at the picture in the zoom, to 'pick' or to 'edit'; '' leaves that. */
function setMode(mode) {
  if (editingNow && zoomed) endLine();
  [pickingNow, editingNow] = [mode === 'pick', mode === 'edit' && editable(zoomed)];
  [cursor, corner, drag] = [null, null, null];
  if (editingNow) startEdit();
  const pointing = pickingNow || editingNow;
  byId('pick-tools').hidden = !pointing;
  byId('pick-tools').setAttribute('aria-label', editingNow ? 'Edit the mask' : 'Pick');
  byId('zoom').classList.toggle('picking', pointing);
  byId('zoom').classList.toggle('editing', editingNow);
}

const mode = () => (editingNow ? 'edit' : pickingNow ? 'pick' : '');

function togglePicking() {
  setMode(pickingNow ? '' : 'pick');
  showZoom();
  if (pickingNow) byId('stage').focus();
  say(pickingNow ? 'pick: click on the object; arrows and Enter work too' : 'pick ended');
}

function showMarks() {
  if (editingNow) { showEditTools(); return; }
  if (!pickingNow) { drawMarks(); return; }
  const choice = (kind, words, title) => button(words, title, () => { tool = kind; showMarks(); }, { 'aria-pressed': String(tool === kind) });
  const { points, boxes } = decisionOf(zoomed);
  byId('pick-tools').replaceChildren(
    choice('object', '+ Object', 'a click is a point on it'),
    choice('background', '− Background', 'shift and a click is one beside it'),
    choice('box', '▢ Box', 'a drag is a box around it'),
    button('Undo', 'u', undo, { disabled: !points.length && !boxes.length }),
    button('Clear', 'every mark', () => mark([], []), { disabled: !points.length && !boxes.length }),
    element('span', { className: 'marks' }, inWords(points, boxes)));
  drawMarks();
}

const inWords = (points, boxes) => [
  ...points.map(([x, y, label]) => `${label ? '+' : '−'} ${x},${y}`), ...boxes.map((box) => `▢ ${box.join(',')}`)].join('   ');

/** Keeps the marks. On a result they mean that it is to be done again, and so it is rejected where nothing was said. */
function mark(points, boxes) {
  const { review: verdict, mask } = decisionOf(zoomed);
  if (mask.length) { tell('The mask is edited here, and what it covers goes. Take that back (e, then 0) to pick instead.'); drawMarks(); return; }
  const rejected = !picking && !verdict && points.length + boxes.length > 0;
  decide(zoomed, { points, boxes, ...(rejected && { review: 'reject' }) });
  showMarks();
  say(`${inWords(points, boxes) || 'no marks'}${rejected ? '; rejected' : ''}`);
}

function addPoint([x, y], label) {
  const { points, boxes } = decisionOf(zoomed);
  mark([...points, [x, y, label]], boxes);
}

/** The box of two pixels, both of them in it. */
function boxOf(one, other) {
  const [width, height] = wholeOf(zoomed).slice(2);
  const [left, top] = [Math.min(one[0], other[0]), Math.min(one[1], other[1])];
  return [left, top, Math.min(width, Math.max(one[0], other[0]) + 1), Math.min(height, Math.max(one[1], other[1]) + 1)];
}

function addBox(one, other) {
  const { points, boxes } = decisionOf(zoomed);
  mark(points, [...boxes, boxOf(one, other)]);
}

/** The last box, else the last point. */
function undo() {
  const { points, boxes } = decisionOf(zoomed);
  if (boxes.length) mark(points, boxes.slice(0, -1));
  else mark(points.slice(0, -1), boxes);
}

/** The pixel of the upright picture under a place on the screen. */
function pixelAt(event) {
  const shown = zoomView().getBoundingClientRect();
  const [left, top, right, bottom] = frameOf(zoomed);
  const within = (value, first, last) => Math.min(Math.max(first, Math.floor(value)), last - 1);
  return [
    within(left + ((event.clientX - shown.left) / shown.width) * (right - left), left, right),
    within(top + ((event.clientY - shown.top) / shown.height) * (bottom - top), top, bottom)];
}

/** Draws the marks in the zoom, and what is being drawn there. */
function drawMarks() {
  const view = zoomView();
  if (!view || !zoomed) return;
  if (editingNow) { drawEditor(); return; }
  const svg = paintMarks(view, zoomed, frameOf(zoomed));
  if (!svg) return;
  const [first, second] = [drag?.from ?? corner, drag?.to ?? cursor];
  if (first && second && (corner || drag.far)) svg.append(frame(boxOf(first, second), 'box open'));
  if (cursor) svg.append(crossHair(cursor, svg.unit));
}

function crossHair([column, row], unit) {
  const [x, y, far] = [column + 0.5, row + 0.5, 14 * unit];
  return shape('path', { d: `M${x - far} ${y}H${x + far}M${x} ${y - far}V${y + far}`, class: 'cursor' });
}

/** Lays a row's marks over a view that shows `[left, top, right, bottom]` of it, of one size on the screen at any scale. */
function paintMarks(view, row, [left, top, right, bottom]) {
  view.querySelector('svg')?.remove();
  const image = view.classList.contains('bare') ? view.querySelector('img') : view;
  if (!image || !image.clientWidth) return null;
  const { points, boxes, mask } = decisionOf(row);
  const svg = shape('svg', { viewBox: `${left} ${top} ${right - left} ${bottom - top}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  svg.unit = (right - left) / image.clientWidth; // pixels of the picture to one of the screen
  svg.append(...boxes.map((box) => frame(box, 'box')), ...points.map(([x, y, label]) => (
    shape('circle', { cx: x + 0.5, cy: y + 0.5, r: 6 * svg.unit, class: label ? 'object' : 'background' }))));
  for (const { object: off } of mask) if (off) svg.append(cross(off, 5 * svg.unit));
  if (image !== view) Object.assign(svg.style, { left: `${image.offsetLeft}px`, top: `${image.offsetTop}px`, width: `${image.clientWidth}px`, height: `${image.clientHeight}px` });
  view.append(svg);
  return svg;
}

/** Where an object was clicked off. */
function cross([column, row], far) {
  const [x, y] = [column + 0.5, row + 0.5];
  return shape('path', { d: `M${x - far} ${y - far}L${x + far} ${y + far}M${x - far} ${y + far}L${x + far} ${y - far}`, class: 'off' });
}

const frame = ([x0, y0, x1, y1], kind) => shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: kind });

function shape(tag, attributes) {
  const made = document.createElementNS(MARK, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const middleOfFrame = () => {
  const [left, top, right, bottom] = frameOf(zoomed);
  return [Math.floor((left + right) / 2), Math.floor((top + bottom) / 2)];
};

/** Moves the cross-hair by an arrow, with Shift by one pixel. False for another key. */
function moveCursor(event) {
  const [left, top, right, bottom] = frameOf(zoomed);
  const by = event.shiftKey ? 1 : Math.max(1, Math.round((right - left) / 50));
  const way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
  if (!way) return false;
  const [x, y] = cursor ?? middleOfFrame();
  cursor = [Math.min(Math.max(left, x + way[0]), right - 1), Math.min(Math.max(top, y + way[1]), bottom - 1)];
  reveal(cursor);
  say(cursor.join(', '));
  return true;
}

/** Scrolls a pixel of the picture into sight, where it is shown larger than the window. */
function reveal([x, y]) {
  const [stage, view] = [byId('stage'), zoomView().getBoundingClientRect()];
  const [left, top, right, bottom] = frameOf(zoomed);
  const [window, edge] = [stage.getBoundingClientRect(), 40]; // screen pixels
  const [across, down] = [view.left + ((x - left) / (right - left)) * view.width, view.top + ((y - top) / (bottom - top)) * view.height];
  stage.scrollLeft += Math.min(0, across - window.left - edge) + Math.max(0, across - window.right + edge);
  stage.scrollTop += Math.min(0, down - window.top - edge) + Math.max(0, down - window.bottom + edge);
}

/** Arrows move a cross-hair, Enter marks a point under it, Shift and Enter one beside the object, b a corner of a box. */
function pickByKey(event) {
  if (zoomView().classList.contains('bare')) return false;
  if (moveCursor(event)) {
    drawMarks();
  } else if (event.key === 'Enter' && cursor) {
    addPoint(cursor, event.shiftKey || tool === 'background' ? 0 : 1);
  } else if (event.key === 'b' && cursor) {
    if (corner) addBox(corner, cursor);
    corner = corner ? null : cursor;
    showMarks();
  } else if (event.key === 'u' || event.key === 'Backspace') {
    undo();
  } else {
    return false;
  }
  return true;
}

function startPicking() {
  const stage = byId('stage');
  stage.addEventListener('pointerdown', (event) => {
    if (!pickingNow || event.button !== 0 || !event.target.closest('.view:not(.bare)')) return;
    event.preventDefault();
    stage.focus();
    stage.setPointerCapture(event.pointerId);
    drag = { from: pixelAt(event), x: event.clientX, y: event.clientY, far: false };
  });
  stage.addEventListener('pointermove', (event) => {
    if (!drag || !pickingNow) return;
    drag.far ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > FAR;
    drag.to = pixelAt(event);
    drawMarks();
  });
  stage.addEventListener('pointerup', (event) => {
    if (!drag || !pickingNow) return;
    const { from, far } = drag;
    drag = null;
    if (far) addBox(from, pixelAt(event));
    else if (tool !== 'box') addPoint(from, event.shiftKey || tool === 'background' ? 0 : 1);
  });
  stage.addEventListener('pointercancel', () => { if (pickingNow) { drag = null; drawMarks(); } });
}
