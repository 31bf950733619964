// Keys, help and the start of it all.
const KEYS = [
  ['→ ↓ j', 'next picture'], ['← ↑ k', 'previous picture'], ['PgDn PgUp', 'next and previous page'],
  ...(picking ? [] : [['a', 'accept, and on to the next'], ['r', 'reject, and on to the next'], ['o', 'keep the original instead, and on to the next'], ['m', 'show or hide the mask'], ['M', 'all masks of this page'], ['b', 'all before, all after, or divided'], ['g', 'how it came about, where --gif kept that'], ['n', 'write a note; Escape leaves it']]),
  ['z', 'zoom; again or Escape to close'], ['+ −', 'larger and smaller, in the zoom'],
  ['p', 'pick: click on the object, shift-click beside it, drag a box'],
  ['← → Enter', 'in pick: move the cross-hair, mark a point; with Shift by one pixel, and beside the object'], ['b b', 'in pick: two corners of a box'], ['u', 'in pick: undo'],
  ...(picking ? [] : [['e', 'edit the mask: what is to go, by hand'], ['1 2', 'in edit: brush, eraser; Shift swaps the two'], ['3 4', 'in edit: a region that goes, or stays'], ['5', 'in edit: click a found object off'],
    ['[ ]', 'in edit: a smaller or larger brush'], ['← → Enter', 'in edit: move the cross-hair, use the tool; a brush goes down and up'], ['u 0', 'in edit: undo, and undo everything']]),
  ['/', 'find a name'], ['?', 'this list'],
];
let letters = true; // whether single keys do anything, for those whose speech software or habits press them

const typing = (target) => target.closest('input:not([type=range]), select, textarea');

const ON_A_PICTURE = {
  a: (row) => { if (review(row, 'accept')) onward(); },
  r: (row) => { if (review(row, 'reject')) onward(); },
  o: (row) => { if (review(row, 'keep')) onward(); },
  m: (row) => { if (!row.mask && !editsOf(row).length) say('no mask'); else if (zoomed) toggleLargeMask(); else toggleMask(row); },
  M: () => { if (!zoomed) toggleMasks(); },
  b: (row) => flip(zoomed ? zoomView() : cards.get(row.index)?.querySelector('.view')),
  g: (row) => { if (row.process && !zoomed) toggleProcess(row); },
  n: (row) => { if (zoomed) closeZoom(); cards.get(row.index)?.querySelector('.note')?.focus(); },
};

function onward() {
  if (zoomed) walk(1);
  else step(1);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId('help').open) return;
  if (typing(event.target)) {
    if (event.key === 'Escape' || (event.key === 'Enter' && event.target.classList.contains('note'))) {
      event.target.blur();
      focusCurrent();
      event.preventDefault();
    }
    return;
  }
  if (event.key.length === 1 && !letters && event.key !== '?') return;
  if (act(event)) event.preventDefault();
}

/** Does what a key says; false where the browser should do what it always does. */
function act(event) {
  const { key, target } = event;
  if (key === '?') return openHelp();
  if (key === '/' && !zoomed) { byId('by-name').focus(); return true; }
  if (key === 'p' && current) { if (zoomed) togglePicking(); else openZoom(current, 'pick'); return true; }
  if (key === 'e' && current && !picking) { if (zoomed) toggleEditing(); else if (editable(current)) openZoom(current, 'edit'); else say('this picture has no mask to edit'); return true; }
  if (editingNow && !target.closest('.bar') && editByKey(event)) return true;
  if (pickingNow && !target.closest('.bar, #pick-tools') && pickByKey(event)) return true;
  if (key === 'Enter' && target.classList.contains('card')) { openZoom(current, picking ? 'pick' : ''); return true; }
  if (key === 'z' && current) { if (zoomed) closeZoom(); else openZoom(current); return true; }
  if (zoomed && ['+', '=', '-'].includes(key)) { rescale(key === '-' ? -1 : 1); return true; }
  if (!zoomed && key === 'PageDown') return turn(1);
  if (!zoomed && key === 'PageUp') return turn(-1);
  if (key === 'j' || key === 'k') { move(key === 'j' ? 1 : -1); return true; }
  const way = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: zoomed ? 1 : columns(), ArrowUp: zoomed ? -1 : -columns() }[key];
  if (way && target.type !== 'range' && !scrolls(target, key)) { move(way); return true; }
  if (!picking && current && ON_A_PICTURE[key] && !(zoomed && key === 'g')) { ON_A_PICTURE[key](current); return true; }
  return false;
}

/** A picture that is larger than the window is moved by arrows. */
const scrolls = (target, key) => target.id === 'stage' && (
  key === 'ArrowUp' || key === 'ArrowDown' ? target.scrollHeight > target.clientHeight + 1 : target.scrollWidth > target.clientWidth + 1);

function move(by) {
  if (zoomed) walk(by);
  else if (!step(by)) step(Math.sign(by));
}

function openHelp() {
  byId('help').showModal();
  byId('help').scrollTop = 0; // what has the focus stands at its end
  return true;
}

function startKeys() {
  document.addEventListener('keydown', pressed);
  byId('help-button').onclick = openHelp;
  byId('help-close').onclick = () => byId('help').close();
  byId('help-keys').append(...KEYS.map(([keys, words]) => element('div', {},
    element('dt', {}, ...keys.split(' ').map((key) => element('kbd', {}, key))), element('dd', {}, words))));
  const off = element('input', { type: 'checkbox', checked: true, onchange: () => { letters = off.checked; } });
  byId('help-close').before(element('label', { className: 'letters' }, off, ' Single keys work'));
  byId('before-page').onclick = () => turn(-1);
  byId('next-page').onclick = () => turn(1);
}

startFilters();
startDecisions();
startZoom();
startPicking();
startEditing();
startKeys();
take(JSON.parse(byId('rows').textContent));
byId('rows').remove(); // its text is as large as the page
loadRows();
