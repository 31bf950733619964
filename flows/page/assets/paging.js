// One page of pictures: its cards, and which of them is the current one.
let shownPage = 0;
let current = null; // a row
const cards = new Map(); // by row.index, of the page that is shown

const pages = () => Math.max(1, Math.ceil(chosen.length / PER_PAGE));

function showPage(page, at = 0) {
  shownPage = Math.min(Math.max(0, page), pages() - 1);
  const some = chosen.slice(shownPage * PER_PAGE, (shownPage + 1) * PER_PAGE);
  cards.clear();
  for (const row of some) cards.set(row.index, makeCard(row));
  byId('cards').replaceChildren(...cards.values());
  if (!some.length) byId('cards').append(element('p', { className: 'none' }, rows.length ? 'No picture fits these filters.' : ''));
  current = null;
  select(some.at(at) ?? null, false);
  showPager();
}

function showPager() {
  byId('pager').hidden = pages() === 1;
  byId('page').textContent = `page ${shownPage + 1} of ${pages()}, ${chosen.length.toLocaleString('en')} pictures`;
  byId('before-page').disabled = shownPage === 0;
  byId('next-page').disabled = shownPage + 1 >= pages();
}

function turn(by, at = 0) {
  if (shownPage + by < 0 || shownPage + by >= pages()) return false;
  showPage(shownPage + by, at);
  window.scrollTo(0, 0);
  say(byId('page').textContent);
  focusCurrent();
  return true;
}

function select(row, focus = true) {
  cards.get(current?.index)?.setAttribute('tabindex', '-1');
  cards.get(current?.index)?.removeAttribute('aria-current');
  current = row;
  const card = cards.get(row?.index);
  card?.setAttribute('tabindex', '0');
  card?.setAttribute('aria-current', 'true');
  if (focus) focusCurrent();
}

function focusCurrent() {
  const card = cards.get(current?.index);
  card?.focus({ preventScroll: true });
  card?.scrollIntoView({ block: 'nearest' });
}

/** The next picture, or the one before; over the end of a page to the next one. */
function step(by) {
  const place = chosen.indexOf(current, shownPage * PER_PAGE);
  const row = chosen[place + by];
  if (!row || place < 0) return false;
  if (cards.has(row.index)) select(row);
  else turn(Math.sign(by), by < 0 ? -1 : 0);
  return true;
}

/** How many cards lie beside each other now. */
function columns() {
  const tops = [...cards.values()].map((card) => card.offsetTop);
  return Math.max(1, tops.findIndex((top) => top > tops[0]) === -1 ? tops.length : tops.findIndex((top) => top > tops[0]));
}

const DECIDED = { accept: 'accepted', reject: 'rejected', keep: 'original kept' };

function review(row, verdict) {
  if (verdict === 'keep' && !keepable(row)) { say('there is no original to keep instead'); return false; }
  const already = decisionOf(row).review === verdict;
  decide(row, { review: already ? null : verdict });
  say(`${readable(row.source)}: ${already ? 'undecided' : DECIDED[verdict]}`);
  return !already;
}
