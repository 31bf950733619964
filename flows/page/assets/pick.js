// Picking: points and boxes on the picture in the zoom, in pixels of the upright picture, however large it is shown.
const MARK = 'http://www.w3.org/2000/svg';
const FAR = 5; // screen pixels; a shorter drag is a click
let pickingNow = false;
let tool = 'object'; // or 'background', 'box'
let cursor = null; // [x, y] of the keyboard's cross-hair
let corner = null; // where the keyboard began a box
let drag = null;

function setPicking(on) {
  pickingNow = on;
  [cursor, corner, drag] = [null, null, null];
  byId('pick-tools').hidden = !on;
  byId('zoom').classList.toggle('picking', on);
}

function togglePicking() {
  setPicking(!pickingNow);
  showZoom();
  if (pickingNow) byId('stage').focus();
  say(pickingNow ? 'pick: click on the object; arrows and Enter work too' : 'pick ended');
}

function showMarks() {
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
  const { review: verdict } = decisionOf(zoomed);
  const rejected = !picking && !verdict && points.length + boxes.length > 0;
  decide(zoomed, { points, boxes, ...(rejected && { review: 'reject' }) });
  showMarks();
  say(`${inWords(points, boxes) || 'no marks'}${rejected ? '; rejected' : ''}`);
}

function addPoint([x, y], label) {
  const { points, boxes } = decisionOf(zoomed);
  mark([...points, [x, y, label]], boxes);
}

function addBox(one, other) {
  const { points, boxes } = decisionOf(zoomed);
  const [width, height] = wholeOf(zoomed).slice(2);
  const box = [Math.min(one[0], other[0]), Math.min(one[1], other[1]), Math.max(one[0], other[0]) + 1, Math.max(one[1], other[1]) + 1];
  mark(points, [...boxes, [box[0], box[1], Math.min(width, box[2]), Math.min(height, box[3])]]);
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
  const svg = paintMarks(view, zoomed, frameOf(zoomed));
  if (!svg) return;
  const [first, second] = [drag?.from ?? corner, drag?.to ?? cursor];
  if (first && second && (corner || drag.far)) svg.append(frame([Math.min(first[0], second[0]), Math.min(first[1], second[1]), Math.max(first[0], second[0]) + 1, Math.max(first[1], second[1]) + 1], 'box open'));
  if (!cursor) return;
  const [x, y, far] = [cursor[0] + 0.5, cursor[1] + 0.5, 14 * svg.unit];
  svg.append(shape('path', { d: `M${x - far} ${y}H${x + far}M${x} ${y - far}V${y + far}`, class: 'cursor' }));
}

/** Lays a row's marks over a view that shows `[left, top, right, bottom]` of it, of one size on the screen at any scale. */
function paintMarks(view, row, [left, top, right, bottom]) {
  view.querySelector('svg')?.remove();
  const image = view.classList.contains('bare') ? view.querySelector('img') : view;
  if (!image || !image.clientWidth) return null;
  const { points, boxes } = decisionOf(row);
  const svg = shape('svg', { viewBox: `${left} ${top} ${right - left} ${bottom - top}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  svg.unit = (right - left) / image.clientWidth; // pixels of the picture to one of the screen
  svg.append(...boxes.map((box) => frame(box, 'box')), ...points.map(([x, y, label]) => (
    shape('circle', { cx: x + 0.5, cy: y + 0.5, r: 6 * svg.unit, class: label ? 'object' : 'background' }))));
  if (image !== view) Object.assign(svg.style, { left: `${image.offsetLeft}px`, top: `${image.offsetTop}px`, width: `${image.clientWidth}px`, height: `${image.clientHeight}px` });
  view.append(svg);
  return svg;
}

const frame = ([x0, y0, x1, y1], kind) => shape('rect', { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: kind });

function shape(tag, attributes) {
  const made = document.createElementNS(MARK, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Arrows move a cross-hair, Enter marks a point under it, Shift and Enter one beside the object, b a corner of a box. */
function pickByKey(event) {
  if (zoomView().classList.contains('bare')) return false;
  const [left, top, right, bottom] = frameOf(zoomed);
  const by = event.shiftKey ? 1 : Math.max(1, Math.round((right - left) / 50));
  const way = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
  if (way) {
    const [x, y] = cursor ?? [Math.floor((left + right) / 2), Math.floor((top + bottom) / 2)];
    cursor = [Math.min(Math.max(left, x + way[0]), right - 1), Math.min(Math.max(top, y + way[1]), bottom - 1)];
    drawMarks();
    say(cursor.join(', '));
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
    if (!drag) return;
    drag.far ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > FAR;
    drag.to = pixelAt(event);
    drawMarks();
  });
  stage.addEventListener('pointerup', (event) => {
    if (!drag) return;
    const { from, far } = drag;
    drag = null;
    if (far) addBox(from, pixelAt(event));
    else if (tool !== 'box') addPoint(from, event.shiftKey || tool === 'background' ? 0 : 1);
  });
  stage.addEventListener('pointercancel', () => { drag = null; drawMarks(); });
}
