'use strict';
// The rows: taken in as they load, in the order in which they come (worst first), and filtered.
const facts = JSON.parse(document.getElementById('facts').textContent);
const picking = facts.kind === 'pick';
const STATES = ['failed', 'removed', 'masked', 'nothing found', 'unsupported', 'skipped'];
const PER_PAGE = 100; // more in one layout is slow on a phone

const rows = [];
const known = new Map(); // rows by their id
let chosen = []; // the rows that pass the filters
const wanted = { status: '', review: '', picked: '', verdict: '', folder: '', name: '' };

const byId = (id) => document.getElementById(id);

/** An element with properties and children; texts are only ever set as text. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in made && !name.includes('-') && name !== 'role') made[name] = value;
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A name that can be read: what would break the line, turn it round or cannot be drawn is spelled out. */
function readable(name) {
  const spelled = (sign) => (sign === '\n' ? '↵' : `\\u${sign.codePointAt(0).toString(16).padStart(4, '0')}`);
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\p{Surrogate}/gu, spelled);
}

const addressOf = (row) => row.url ?? row.source;
const folderOf = (row) => row.source.slice(0, Math.max(0, row.source.lastIndexOf('/')));

function say(words) {
  byId('said').textContent = words;
}

function warn(words) {
  byId('notice').textContent = words;
  byId('notice').hidden = !words;
}

/** Called with the rows of each file, and once with those in the page. */
function take(some) {
  for (const row of some) {
    row.index = rows.length;
    rows.push(row);
    known.set(row.id, row);
    countMade(row);
    recall(row);
    if (passes(row)) chosen.push(row);
  }
  showCounts();
  if (chosen.length > (shownPage * PER_PAGE) && byId('cards').childElementCount < PER_PAGE) showPage(shownPage);
  else showPager();
}
const cleanplate = { take };

/** Files one after the other, so that the page can be used meanwhile. */
function loadRows(next = 0) {
  if (next === facts.files.length) return allTaken();
  const lost = `${facts.files[next]} cannot be loaded: this page needs the folder .cleanplate/report beside it.`;
  const script = element('script', { src: facts.files[next], onerror: () => warn(lost) });
  script.onload = () => { script.remove(); loadRows(next + 1); };
  document.head.append(script);
}

function allTaken() {
  forgetOthers();
  showFolders();
  document.body.dataset.taken = rows.length;
}

function passes(row) {
  const { review, points, boxes, text } = decisionOf(row);
  const picked = points.length || boxes.length || text ? 'some' : 'none';
  return (!wanted.status || row.status === wanted.status)
    && (!wanted.review || (review ?? 'none') === wanted.review)
    && (!wanted.picked || picked === wanted.picked)
    && (!wanted.verdict || (row.verdict ?? 'none') === wanted.verdict)
    && (!wanted.folder || row.source.startsWith(wanted.folder))
    && (!wanted.name || row.source.toLowerCase().includes(wanted.name));
}

function filter() {
  chosen = rows.filter(passes);
  showCounts();
  showPage(0);
  say(`${chosen.length} of ${facts.total} pictures`);
}

/** A button for each status that there is, with how many; pressed while only those are shown. */
function showCounts() {
  const counts = new Map([['', rows.length]]);
  for (const { status } of rows) counts.set(status, (counts.get(status) ?? 0) + 1);
  const buttons = ['', ...STATES].filter((status) => counts.has(status)).map((status) => element('button', {
    type: 'button', className: 'state', 'data-status': status, 'aria-pressed': String(wanted.status === status),
    onclick: () => { wanted.status = status; filter(); },
  }, `${status || 'all'} `, element('b', {}, counts.get(status).toLocaleString('en'))));
  const focused = document.activeElement?.dataset?.status;
  byId('states').replaceChildren(...(picking ? [] : buttons));
  if (focused !== undefined) byId('states').querySelector(`[data-status="${focused}"]`)?.focus();
  showProgress();
}

function showFolders() {
  const counts = new Map();
  for (const row of rows) {
    const parts = folderOf(row).split('/');
    for (let depth = 1; depth <= parts.length && parts[0]; depth += 1) {
      const folder = `${parts.slice(0, depth).join('/')}/`;
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
  }
  const options = [...counts].sort(([one], [other]) => (one < other ? -1 : 1)).map(([folder, count]) => (
    element('option', { value: folder }, `${readable(folder)} (${count})`)));
  byId('by-folder').append(...options);
  byId('by-folder').closest('label').hidden = !options.length;
}

function startFilters() {
  for (const [id, key] of [['by-review', 'review'], ['by-picked', 'picked'], ['by-verdict', 'verdict'], ['by-folder', 'folder']]) {
    byId(id).onchange = (event) => { wanted[key] = event.target.value; filter(); };
  }
  byId('by-name').oninput = (event) => { wanted.name = event.target.value.toLowerCase(); filter(); };
  byId('filters').onsubmit = (event) => event.preventDefault();
}
