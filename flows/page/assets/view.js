// A view: layers of images over each other in the place that they have in the picture, and a slider between two of them.

/** Places a layer that shows `extent` of the picture into a view that shows `frame` (both left, top, right, bottom). */
function place(layer, extent, frame) {
  const [width, height] = [frame[2] - frame[0], frame[3] - frame[1]];
  layer.style.left = `${(100 * (extent[0] - frame[0])) / width}%`;
  layer.style.top = `${(100 * (extent[1] - frame[1])) / height}%`;
  layer.style.width = `${(100 * (extent[2] - extent[0])) / width}%`;
  layer.style.height = `${(100 * (extent[3] - extent[1])) / height}%`;
  return layer;
}

const imageOf = (src, alt, more = {}) => element('img', { src, alt, draggable: false, decoding: 'async', ...more });
const wholeOf = (row) => (row.width ? [0, 0, row.width, row.height] : row.window ?? [0, 0, 4, 3]);

/**
 * layers: [{kind: 'before' | 'after' | 'alone' | 'mask', src, extent, lost}], from the bottom up. What is left of the
 * slider shows 'before', where there is 'after' too; at first that is the middle of the mask. 'alone' is a picture
 * without another to compare it with. `lost` is called when an image cannot be shown.
 */
function makeView(frame, name, layers, middle = 50) {
  const view = element('div', { className: 'view' });
  view.style.aspectRatio = `${frame[2] - frame[0]} / ${frame[3] - frame[1]}`;
  const words = { before: `${name} before`, after: `${name} after`, alone: name, mask: '' };
  for (const { kind, src, extent, lost } of layers) {
    const image = imageOf(src, words[kind], { onerror: lost ?? null });
    const layer = element('div', { className: `layer ${kind}` }, place(image, extent, frame));
    view.append(layer);
  }
  if (['before', 'after'].every((kind) => layers.some((layer) => layer.kind === kind))) {
    const slider = element('input', {
      type: 'range', className: 'slider', min: 0, max: 100, step: 1, value: middle,
      'aria-label': `Before and after of ${name}: how much of before is shown, in percent`,
      oninput: () => cutAt(view, slider.value),
    });
    view.append(element('div', { className: 'divider', 'aria-hidden': 'true' }), slider,
      element('span', { className: 'side left', 'aria-hidden': 'true' }, 'before'),
      element('span', { className: 'side right', 'aria-hidden': 'true' }, 'after'));
    view.dataset.middle = middle;
    cutAt(view, middle);
  }
  return view;
}

function cutAt(view, percent) {
  view.style.setProperty('--cut', `${percent}%`);
  view.dataset.cut = percent;
  const slider = view.querySelector('.slider');
  if (slider) slider.value = percent;
}

/** All before, all after, or divided. */
function flip(view) {
  if (view?.querySelector('.slider')) cutAt(view, { 0: 100, 100: view.dataset.middle }[view.dataset.cut] ?? 0);
}

/** The layers of a row's thumbnails. */
function smallLayers(row) {
  const kinds = ['after', 'before', 'mask'].filter((kind) => row[kind]);
  const both = row.after && row.before;
  return kinds.map((kind) => ({ kind: kind === 'mask' || both ? kind : 'alone', src: row[kind], extent: row.window }));
}

/** Whether the mask is what is to be looked at: nothing is painted under it yet. */
const masksMatter = (row) => row.status === 'masked' && Boolean(row.mask);

/** The view of a card: the thumbnails, or else the picture itself as the browser can show it. */
function smallView(row, name) {
  const layers = smallLayers(row);
  if (layers.length) {
    const view = makeView(row.window, name, layers, row.middle);
    view.classList.toggle('masked', masksMatter(row));
    return view;
  }
  const bare = element('div', { className: 'view bare' }, row.there ? '' : 'no picture to show');
  if (!row.there) return bare;
  const image = imageOf(addressOfImage(row), name, { loading: 'lazy', onerror: () => bare.replaceChildren('this browser cannot show it') });
  image.onload = () => {
    if (!row.width) [row.width, row.height] = [image.naturalWidth, image.naturalHeight];
    paintMarks(bare, row, wholeOf(row));
  };
  bare.append(image);
  return bare;
}

/** Where the picture itself is: in the target, or on a page for picking in the source. */
const addressOfImage = (row) => row.image ?? (picking ? facts.source : 'images/') + addressOf(row);
