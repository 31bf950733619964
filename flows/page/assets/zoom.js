// The zoom: one picture as large as wanted, the picture itself rather than its thumbnail, with everything else over it.
const SCALES = ['fit', 1, 2, 4];
let zoomed = null; // a row
let scale = 'fit';
let attempt = null; // the number of an attempt that was archived, or the published one
let lost = false; // the picture itself cannot be shown: the thumbnail has to do

const zoomView = () => byId('stage').querySelector('.view');

/** `pointing`: 'pick', 'edit', or '' to look only. */
function openZoom(row, pointing = '') {
  select(row, false);
  if (editingNow && zoomed) endLine();
  [zoomed, attempt, lost, line] = [row, null, false, null];
  setMode(pointing);
  if (masksMatter(row)) byId('stage').dataset.mask = 'on';
  showZoom();
  if (!byId('zoom').open) byId('zoom').showModal();
  fit();
  byId('stage').focus();
}

function closeZoom() {
  byId('zoom').close();
}

function showZoom() {
  const row = zoomed;
  const name = readable(row.source);
  byId('zoom-name').replaceChildren(element('bdi', {}, name));
  byId('zoom-place').textContent = `${chosen.indexOf(row) + 1} of ${chosen.length.toLocaleString('en')}`;
  byId('zoom-reason').textContent = lost ? 'The picture itself cannot be shown here; this is its thumbnail.' : reasonOf(row);
  const view = largeView(row, name);
  view.classList.toggle('masked', editingNow || (!pickingNow && byId('stage').dataset.mask === 'on'));
  byId('stage').replaceChildren(view);
  if (editingNow) layEditor();
  else if (editsOf(row).length && !pickingNow && !view.classList.contains('bare')) layMask(view, row, frameOf(row));
  showMarks();
  showTools(row);
  updateCard(row);
  fit();
}

/** The picture itself with the thumbnails of before and mask laid into their places; outside the mask they are alike. */
function largeView(row, name) {
  const small = smallLayers(row);
  if (!hasItself(row)) return small.length ? makeView(row.window, name, beforeToPick(small), row.middle) : smallView(row, name);
  const instead = () => { lost = true; showZoom(); };
  const painted = row.there || attempt !== null;
  const itself = { kind: painted && row.before ? 'after' : 'alone', src: addressOfItself(row), extent: wholeOf(row), lost: instead };
  const original = facts.originals && row.before && painted ? [{ kind: 'before', src: facts.originals + addressOf(row), extent: wholeOf(row) }] : [];
  const view = makeView(wholeOf(row), name, beforeToPick([itself, ...small.filter(({ kind }) => kind === 'mask' || (kind === 'before' && painted)), ...original]), middleOf(row));
  const image = view.querySelector('img');
  image.onload = () => {
    if (!row.width) sized(row, image);
    else if (image.naturalWidth * row.height !== image.naturalHeight * row.width) instead(); // not turned as its EXIF says
  };
  return view;
}

/** Whether the zoom can show the picture itself: as it is published, an attempt at it, or where nothing is, the original. */
const hasItself = (row) => !lost && (row.there || attempt !== null || Boolean(facts.source && row.width));

function addressOfItself(row) {
  if (attempt !== null) return `.cleanplate/attempts/${addressOf(row)}/${attempt}.png`;
  return row.there ? addressOfImage(row) : facts.source + addressOf(row);
}

/** Where the mask has its middle in the whole picture, in percent. */
function middleOf({ window: [left, , right] = [0, 0, 1, 1], middle = 50, width }) {
  return width ? Math.round((100 * left + middle * (right - left)) / width) : 50;
}

/** A size that no row told, such as that of a picture that was copied. */
function sized(row, image) {
  [row.width, row.height] = [image.naturalWidth, image.naturalHeight];
  if (zoomed === row) showZoom();
}

/** To pick is to point at what was there: nothing is painted over it. */
function beforeToPick(layers) {
  if (!mode() || !layers.some(({ kind }) => kind === 'before')) return layers;
  return layers.filter(({ kind }) => kind !== 'mask').map((layer) => ({ ...layer, kind: layer.kind === 'before' ? 'over' : layer.kind }));
}

function showTools(row) {
  const tools = [];
  if (!picking) {
    tools.push(
      button('Accept', 'a', () => review(row, 'accept'), { className: 'accept' }),
      button('Reject', 'r', () => review(row, 'reject'), { className: 'reject' }));
    if (keepable(row)) tools.push(button('Keep original', 'o', () => review(row, 'keep'), { className: 'keep' }));
    if (!mode() && (row.mask || editsOf(row).length)) tools.push(button('Mask', 'm', toggleLargeMask, { 'aria-pressed': String(byId('stage').dataset.mask === 'on') }));
    if (!mode() && row.before && row.there) tools.push(button('Before/after', 'b', () => flip(zoomView())));
    tools.push(button('Pick', 'p', () => togglePicking(), { className: 'pick-button', 'aria-pressed': String(pickingNow) }));
    if (editable(row)) tools.push(button('Edit', 'e: the mask', () => toggleEditing(), { className: 'edit-button', 'aria-pressed': String(editingNow) }));
    for (const { number } of row.attempts ?? []) {
      tools.push(button(`Attempt ${number}`, 'instead of the published one', () => { attempt = attempt === number ? null : number; showZoom(); }, { 'aria-pressed': String(attempt === number) }));
    }
    if (!mode() && facts.source && row.status !== 'nothing found') tools.push(element('a', { href: facts.source + addressOf(row), target: '_blank', rel: 'noreferrer' }, 'Original'));
  }
  tools.push(
    button(scale === 'fit' ? 'Fit' : `${100 * scale} %`, '+ and -', () => rescale(1, true)),
    button('‹', 'previous: k or arrow left', () => walk(-1), { 'aria-label': 'previous picture' }),
    button('›', 'next: j or arrow right', () => walk(1), { 'aria-label': 'next picture' }),
    button('✕', 'z or Escape', closeZoom, { 'aria-label': 'close' }));
  const focused = [...byId('zoom-tools').children].indexOf(document.activeElement);
  byId('zoom-tools').replaceChildren(...tools);
  if (focused >= 0) byId('zoom-tools').children[Math.min(focused, tools.length - 1)].focus();
}

function toggleLargeMask() {
  byId('stage').dataset.mask = byId('stage').dataset.mask === 'on' ? '' : 'on';
  showZoom();
}

function rescale(by, round = false) {
  const next = SCALES.indexOf(scale) + by;
  scale = SCALES[round ? next % SCALES.length : Math.min(Math.max(0, next), SCALES.length - 1)];
  showTools(zoomed);
  fit();
  say(scale === 'fit' ? 'fits the window' : `${100 * scale} percent`);
}

/** Gives the view its size on the screen: a multiple of the picture's own, or what the window leaves. */
function fit() {
  const [view, stage] = [zoomView(), byId('stage')];
  if (!view || !zoomed || view.classList.contains('bare')) return;
  const [left, top, right, bottom] = frameOf(zoomed);
  const fitting = Math.min(stage.clientWidth / (right - left), stage.clientHeight / (bottom - top), 8);
  view.style.width = `${(scale === 'fit' ? fitting : scale / window.devicePixelRatio) * (right - left)}px`;
  drawMarks();
}

/** What the zoom shows of the picture: all of it, unless only its thumbnail can be had. */
const frameOf = (row) => (hasItself(row) ? wholeOf(row) : row.window ?? wholeOf(row));

function walk(by) {
  if (!step(by)) { say(by < 0 ? 'this is the first' : 'this is the last'); return; }
  openZoom(current, mode());
  say(readable(current.source));
}

function startZoom() {
  byId('zoom').addEventListener('close', () => { setMode(''); zoomed = null; focusCurrent(); });
  window.addEventListener('resize', fit);
}
