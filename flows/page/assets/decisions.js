// Decisions: kept in this browser as they are made, and given away as JSON Lines or to the server that shows the page.
const FILE = picking ? 'prompts.jsonl' : 'decisions.jsonl';
const PREFIX = `cleanplate/${facts.key}/`;
const RETRY = 5000; // ms
const decided = new Map(); // by row.id
let store = null;
let sending = null;

try {
  window.localStorage.setItem(`${PREFIX}?`, '');
  window.localStorage.removeItem(`${PREFIX}?`);
  store = window.localStorage;
} catch { /* refused: said when the first decision is made */ }

const asMade = (row) => ({
  review: row.review ?? null, note: row.note ?? '', text: row.wanted ?? '', points: row.picked ?? [], boxes: row.boxed ?? [], mask: row.edits ?? [],
});
const decisionOf = (row) => decided.get(row.id) ?? asMade(row);
const sameAs = (one, other) => ['review', 'note', 'text', 'points', 'boxes', 'mask'].every(
  (key) => JSON.stringify(one[key]) === JSON.stringify(other[key]));

/** What this browser remembers of a row's present result; once the result says the same, nothing need be remembered. */
function recall(row) {
  let kept = null;
  try { kept = JSON.parse(store?.getItem(PREFIX + row.id) ?? 'null'); } catch { /* somebody else's */ }
  if (!kept || !Array.isArray(kept.points) || !Array.isArray(kept.boxes)) return;
  kept.mask = Array.isArray(kept.mask) ? kept.mask : [];
  if (kept.saved && sameAs(kept, asMade(row))) store.removeItem(PREFIX + row.id);
  else decided.set(row.id, kept);
}

/** Decisions on results that are no more. */
function forgetOthers() {
  const present = new Set(rows.map((row) => PREFIX + row.id));
  for (const key of Object.keys(store ?? {})) {
    if (key.startsWith(PREFIX) && !present.has(key)) store.removeItem(key);
  }
}

function decide(row, change) {
  const made = { ...decisionOf(row), ...change, saved: false, told: decided.get(row.id)?.told };
  if (!made.told && sameAs(made, asMade(row))) decided.delete(row.id);
  else decided.set(row.id, made);
  keep(row);
  showProgress();
  updateCard(row);
  if (facts.save && !sending) sending = setTimeout(send, 600);
}

function keep(row) {
  const made = decided.get(row.id);
  try {
    if (!store) throw new Error('refused');
    if (made) store.setItem(PREFIX + row.id, JSON.stringify(made));
    else store.removeItem(PREFIX + row.id);
  } catch {
    if (!facts.save) warn(`This browser keeps nothing for this page: download ${FILE} before you leave it.`);
  }
}

const unsaved = () => [...decided.keys()].filter((id) => !decided.get(id).saved && known.has(id)).map((id) => known.get(id));

function lineOf(row) {
  const { review, note, text, points, boxes, mask, edited } = decisionOf(row);
  const onIt = points.some(([, , label]) => label === 1); // what lies beside an object needs one to lie beside
  const what = { ...(onIt && { points }), ...(boxes.length && { boxes }) };
  const phrases = text.split(';').map((phrase) => phrase.trim()).filter(Boolean);
  const line = picking ? { file_name: row.source, ...(phrases.length && { text: phrases.length > 1 ? phrases : phrases[0] }), ...what }
    : { file_name: row.source, review, note, ...what, ...(edited && { mask }) };
  return `${JSON.stringify(line)}\n`;
}

const asked = ({ points, boxes, text }) => points.length || boxes.length || text;

/** Every line that has something to say; a picture without prompts has none in a prompts file. */
function lines() {
  return rows.filter((row) => (picking ? asked(decisionOf(row)) : decided.has(row.id))).map(lineOf);
}

function markSaved(some) {
  for (const [row, made] of some) {
    if (decided.get(row.id) !== made) continue; // changed meanwhile
    Object.assign(made, { saved: true, told: true });
    keep(row);
  }
  showProgress();
}

function download() {
  const address = URL.createObjectURL(new Blob(lines(), { type: 'application/jsonl' }));
  element('a', { href: address, download: FILE }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  markSaved(rows.filter((row) => decided.has(row.id)).map((row) => [row, decided.get(row.id)]));
  say(`${FILE} downloaded`);
}

/** Give the server what it has not got; what it refuses for now is tried again, and stays in this browser. */
async function send() {
  clearTimeout(sending);
  const some = unsaved().map((row) => [row, decided.get(row.id)]);
  if (!some.length) { sending = null; return; }
  let [refusal, leftOut] = ['', ''];
  try {
    const body = some.map(([row]) => lineOf(row)).join('');
    const answer = await fetch(facts.save, { method: 'POST', body, headers: { 'Content-Type': 'application/jsonl' } });
    if (answer.ok) { markSaved(some); leftOut = await answer.text(); }
    else refusal = await answer.text();
  } catch {
    refusal = 'the server that shows this page does not answer; is `cleanplate review --serve` still running?';
  }
  warn(refusal ? `Not saved yet: ${refusal} Your decisions are kept here and sent again.` : leftOut);
  sending = refusal ? setTimeout(send, RETRY) : unsaved().length ? setTimeout(send, 0) : null;
}

/** How many rows have something: as they were made, less those that were decided here, and these as they are now. */
function count(test, kind) {
  let sum = made[kind];
  for (const [id, now] of decided) {
    const row = known.get(id);
    if (row) sum += (test(now) ? 1 : 0) - (test(asMade(row)) ? 1 : 0);
  }
  return sum;
}

const COUNTED = { kept: ({ review: verdict }) => verdict === 'keep', accepted: ({ review: verdict }) => verdict === 'accept', rejected: ({ review: verdict }) => verdict === 'reject', asked: (one) => Boolean(asked(one)) };
const made = { kept: 0, accepted: 0, rejected: 0, asked: 0 };

function countMade(row) {
  for (const [kind, test] of Object.entries(COUNTED)) made[kind] += test(asMade(row)) ? 1 : 0;
}

function showProgress() {
  const [open, all] = [unsaved().length, facts.total.toLocaleString('en')];
  const now = (kind) => count(COUNTED[kind], kind);
  byId('progress').textContent = picking ? `${now('asked')} of ${all} pictures have prompts`
    : `${now('accepted')} accepted, ${now('rejected')} rejected${now('kept') ? `, ${now('kept')} kept as ${now('kept') === 1 ? 'it was' : 'they were'}` : ''} of ${all}`;
  byId('save').textContent = facts.save ? (open ? `Saving ${open} …` : 'All saved')
    : `Download ${FILE}${open ? ` (${open} new)` : ''}`;
  byId('save').disabled = facts.save ? !open : !decided.size && !made.asked;
}

function startDecisions() {
  byId('save').onclick = facts.save ? send : download;
  window.addEventListener('beforeunload', (event) => {
    if (!store && unsaved().length) event.preventDefault();
  });
}
