// The mask of a picture with what was edited about it, drawn over the picture: as it was found, then edit by edit.
const SHARPEST = 2048; // pixels of the longer side of such a drawing in the zoom
const SMALL = 480; // of one on a card, of which there are a hundred
const PINK = 'rgb(255 0 128)'; // as in the mask's own thumbnail
const FRINGE = 24; // of 255: how much of a pixel must be covered to belong to an object
const NEAR = 0.02; // of the longer side: so far beside an object a finger may point
const found = new Map(); // images of masks as they were found, by their address

/** Gives a view a drawing of the mask with its edits, in place of the mask as it was found. Returns its context. */
function layMask(view, row, frame, sharpest = SHARPEST) {
  const edits = decisionOf(row).mask;
  view.querySelector('.layer.mask')?.remove();
  const canvas = element('canvas', { 'aria-hidden': 'true' });
  const after = [...view.querySelectorAll('.layer')].at(-1);
  const layer = element('div', { className: 'layer mask' }, canvas);
  if (after) after.after(layer);
  else view.append(layer);
  const [width, height] = [frame[2] - frame[0], frame[3] - frame[1]];
  const scale = Math.min(4, sharpest / Math.max(width, height));
  [canvas.width, canvas.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, (-frame[0] * canvas.width) / width, (-frame[1] * canvas.height) / height);
  const draw = () => { drawMask(context, row, edits); };
  const image = row.mask ? imageOfMask(row.mask, draw) : null;
  if (!image || image.complete) draw();
  return context;
}

function imageOfMask(address, ready) {
  if (!found.has(address)) found.set(address, element('img', { src: address }));
  const image = found.get(address);
  if (!image.complete) image.addEventListener('load', ready, { once: true });
  return image;
}

function drawMask(context, row, edits) {
  context.save();
  context.resetTransform();
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.restore();
  const image = found.get(row.mask);
  if (image?.naturalWidth) {
    const [left, top, right, bottom] = row.window;
    context.drawImage(image, left, top, right - left, bottom - top);
  }
  for (const edit of edits) drawEdit(context, edit);
}

/** One edit, over what is drawn already. An object can only be taken out where the page may read what it drew. */
function drawEdit(context, edit) {
  context.globalCompositeOperation = edit.erase ? 'destination-out' : 'source-over';
  [context.strokeStyle, context.fillStyle, context.lineCap, context.lineJoin] = [PINK, PINK, 'round', 'round'];
  if (edit.region) {
    const [left, top, right, bottom] = edit.region;
    context.fillRect(left, top, right - left, bottom - top);
  } else if (edit.brush) {
    const [[x, y], ...rest] = edit.brush;
    context.lineWidth = Math.max(1, 2 * edit.radius);
    context.beginPath();
    context.moveTo(x + 0.5, y + 0.5);
    for (const [to, down] of rest.length ? rest : [[x, y]]) context.lineTo(to + 0.5, down + 0.5);
    context.stroke();
  } else if (edit.object) {
    const pixels = readable2d(context);
    const place = pixels && nearestOf(context, pixels, edit.object);
    if (place) clearObject(context, pixels, place);
  }
  context.globalCompositeOperation = 'source-over';
}

/** The pixels of a drawing, or null: a page that is opened as a file may not read images that lie beside it. */
function readable2d(context) {
  try {
    return context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  } catch {
    return null;
  }
}

/** The pixel of the drawing, as [x, y], that is covered and nearest to a pixel of the picture; null where none is near. */
function nearestOf(context, pixels, [x, y]) {
  const { width, height, data } = pixels;
  const middle = context.getTransform().transformPoint({ x: x + 0.5, y: y + 0.5 });
  const reach = Math.max(8, Math.round(NEAR * Math.max(width, height)));
  let [best, least] = [null, reach * reach];
  for (let down = Math.max(0, Math.floor(middle.y - reach)); down < Math.min(height, middle.y + reach + 1); down += 1) {
    for (let right = Math.max(0, Math.floor(middle.x - reach)); right < Math.min(width, middle.x + reach + 1); right += 1) {
      const far = (right + 0.5 - middle.x) ** 2 + (down + 0.5 - middle.y) ** 2;
      if (far <= least && data[4 * (down * width + right) + 3] > 127) [best, least] = [[right, down], far];
    }
  }
  return best;
}

/** Clears the connected part of a drawing that a pixel of it is in. */
function clearObject(context, pixels, [x, y]) {
  const { width, height, data } = pixels;
  const waiting = [y * width + x];
  data[4 * waiting[0] + 3] = 0;
  while (waiting.length) {
    const place = waiting.pop();
    const [column, line] = [place % width, Math.floor(place / width)];
    for (let down = Math.max(0, line - 1); down <= Math.min(height - 1, line + 1); down += 1) {
      for (let right = Math.max(0, column - 1); right <= Math.min(width - 1, column + 1); right += 1) {
        const next = down * width + right;
        if (data[4 * next + 3] > FRINGE) {
          data[4 * next + 3] = 0;
          waiting.push(next);
        }
      }
    }
  }
  context.putImageData(pixels, 0, 0);
}
