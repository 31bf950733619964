// A card: one picture with its figures, what can be decided on it, and the attempts at it.
function makeCard(row) {
  const name = readable(row.source);
  const id = `name-${row.index}`;
  const card = element('article', { className: 'card', role: 'listitem', tabindex: '-1', 'aria-labelledby': id, 'data-status': row.status },
    smallView(row, name),
    element('div', { className: 'about' },
      element('h2', { id, title: name }, element('bdi', {}, name)),
      badges(row),
      reasonOf(row) && !picking ? element('p', { className: 'reason' }, reasonOf(row)) : null,
      buttons(row, name),
      field(row, name),
      figures(row),
      attempts(row, name)));
  card.addEventListener('focusin', () => { if (current !== row) select(row, false); });
  card.querySelector('.view').addEventListener(picking ? 'click' : 'dblclick', () => openZoom(row, picking ? 'pick' : ''));
  updateCard(row, card);
  return card;
}

function badges(row) {
  if (picking) return null;
  const made = element('p', { className: 'badges' });
  made.append(element('span', { className: `badge ${row.status.replace(' ', '-')}` }, row.status));
  if (row.verdict) made.append(' ', element('span', { className: `badge ${row.verdict}` }, row.verdict));
  made.append(' ', element('span', { className: 'badge decision' }));
  return made;
}

const many = (count, thing) => `${count.toLocaleString('en')} ${thing}${count === 1 ? '' : 's'}`;

/** What was asked for, in words; a point's place says nothing to a reader, the picture shows it. */
function askedFor(row) {
  const [points, boxes] = [row.points?.length ?? 0, row.boxes?.length ?? 0];
  return [...(row.text ?? []), ...(points ? [many(points, 'point')] : []), ...(boxes ? [`${boxes} ${boxes === 1 ? 'box' : 'boxes'}`] : [])].join(', ');
}

/** Whether the original can take a picture's place: that is not in images/ yet, and can be read. */
const keepable = (row) => !picking && (row.review === 'keep' || (Boolean(row.width) && ['removed', 'masked', 'failed', 'skipped'].includes(row.status)));

const OF_PEOPLE = { given: 'given', 'by hand': 'drawn by hand' }; // masks that no finder is sure or unsure of

/** What is known of a row, each figure with its unit or with what it means; what is not known is left out. */
function figures(row) {
  const [own, asked] = [OF_PEOPLE[row.segmenter], askedFor(row)];
  const pairs = [
    ['asked for', asked],
    ['size', row.width && `${row.width}×${row.height} pixels`],
    ['mask', [own, row.mask_area && `${percent(row.mask_area)} of the picture`, row.dilate && `grown by ${many(row.dilate, 'pixel')}`].filter(Boolean).join(', ')],
    ['found with', !own && row.mask_area && row.score !== undefined && `${row.score.toFixed(2)} (0 to 1: how sure the finder is)`],
    ['filled by', row.method && (row.model ? `${row.model} (${row.method})` : `${row.method}, without a model`)],
    ['doubt', row.doubt !== undefined && `${row.doubt.toFixed(2)} (above 1 it is doubtful)`],
    ['attempt', row.attempt > 1 && String(row.attempt)],
    ['took', row.seconds !== undefined && `${row.seconds.toFixed(1)} seconds`],
    ['changed outside the mask', row.outside_max_diff !== undefined && `${many(row.outside_max_diff, 'level')} (of 255)`],
  ].filter(([, words]) => words);
  return element('dl', { className: 'figures' }, ...pairs.map(
    ([title, words]) => element('div', {}, element('dt', {}, title), element('dd', {}, words))));
}

const percent = (share) => (share < 0.001 ? 'under 0.1 %' : `${(100 * share).toFixed(1)} %`);

// Parts of a reason that the figures tell, or that are of no use to an eye.
const TOLD = ['filled without a model', 'made to fill holes: it has 9 input channels', 'asked for', 'its mask was made by hand'];

/** Why a row is as it is, beyond what stands among its figures. */
const reasonOf = (row) => readable((row.reason ?? '').split('; ').filter((part) => !TOLD.includes(part)).join('; '));

function field(row, name) {
  const key = picking ? 'text' : 'note';
  const input = element('input', {
    type: 'text', value: decisionOf(row)[key], maxLength: 2000, placeholder: picking ? 'or words: red ball' : 'note',
    'aria-label': picking ? `Words for what to remove from ${name}` : `Note on ${name}`, className: 'note',
    onchange: () => decide(row, { [key]: input.value.trim() }),
  });
  return input;
}

const button = (words, title, onclick, more = {}) => element('button', { type: 'button', title, onclick, ...more }, words);

function buttons(row, name) {
  const made = element('div', { className: 'buttons', role: 'group', 'aria-label': `Decide on ${name}` });
  if (!picking) {
    made.append(
      button('Accept', 'a', () => review(row, 'accept'), { className: 'accept' }),
      button('Reject', 'r', () => review(row, 'reject'), { className: 'reject' }));
    if (keepable(row)) made.append(button('Keep original', 'o', () => review(row, 'keep'), { className: 'keep' }));
    if (row.mask) made.append(button('Mask', 'm', () => toggleMask(row), { className: 'mask-button', 'aria-pressed': String(masksMatter(row)) }));
  }
  made.append(
    button('Zoom', 'z', () => openZoom(row)),
    button('Pick', 'p', () => openZoom(row, 'pick'), { className: 'pick-button' }));
  if (editable(row)) made.append(button('Edit', 'e: the mask', () => openZoom(row, 'edit'), { className: 'edit-button' }));
  if (row.process) made.append(button('Process', 'g', () => toggleProcess(row), { className: 'process-button', 'aria-pressed': 'false' }));
  return made;
}

const isMasked = (row) => Boolean(cards.get(row.index)?.querySelector('.view')?.classList.contains('masked'));

function showMask(row, on, card = cards.get(row.index)) {
  card?.querySelector('.view')?.classList.toggle('masked', on);
  card?.querySelector('.mask-button')?.setAttribute('aria-pressed', String(on));
}

function toggleMask(row) {
  showMask(row, !isMasked(row));
  say(`mask ${isMasked(row) ? 'shown' : 'hidden'}`);
}

/** Every mask on this page of pictures: shown as the current one's is not, yet. */
function toggleMasks() {
  const on = !isMasked(current);
  for (const index of cards.keys()) if (rows[index].mask) showMask(rows[index], on);
  say(`masks ${on ? 'shown' : 'hidden'}`);
}

/** The denoising, step by step, in the place of the picture. */
function toggleProcess(row) {
  const card = cards.get(row.index);
  const shown = card.querySelector('.process');
  if (shown) shown.remove();
  else card.querySelector('.view').append(imageOf(`process/${addressOf(row)}.gif`, `${readable(row.source)}, how it came about`, { className: 'process' }));
  card.querySelector('.process-button').setAttribute('aria-pressed', String(!shown));
}

/** The attempts that were archived, beside the one that is published. */
function attempts(row, name) {
  if (!row.attempts) return null;
  const frame = row.window ?? wholeOf(row);
  const tried = row.attempts.map((attempt) => [attempt, `.cleanplate/attempts/${addressOf(row)}/${attempt.number}.png`, false]);
  if (row.there) tried.push([{ ...row, number: row.attempt ?? tried.length + 1 }, addressOfImage(row), true]);
  tried.sort(([one], [other]) => one.number - other.number);
  return element('div', { className: 'attempts', role: 'group', 'aria-label': `Attempts at ${name}` }, ...tried.map(([attempt, src, published]) => {
    const title = `attempt ${attempt.number}${published ? ', published' : ''}`;
    const words = [attempt.method, attempt.verdict, attempt.review && `${attempt.review}ed`, attempt.doubt !== undefined && `doubt ${attempt.doubt.toFixed(2)}`];
    return element('figure', { className: published ? 'published' : '' },
      makeView(frame, title, [{ kind: 'after', src, extent: wholeOf(row) }]),
      element('figcaption', { title: readable(attempt.reason ?? '') }, element('b', {}, title), ` ${words.filter(Boolean).join(', ')}`));
  }));
}

/** What was decided, on a card and in the zoom. */
function updateCard(row, card = cards.get(row.index)) {
  const { review: verdict, points, boxes, mask } = decisionOf(row);
  for (const place of [card, zoomed === row ? byId('zoom') : null]) {
    if (!place) continue;
    place.dataset.review = verdict ?? '';
    place.querySelector('.accept')?.setAttribute('aria-pressed', String(verdict === 'accept'));
    place.querySelector('.reject')?.setAttribute('aria-pressed', String(verdict === 'reject'));
    place.querySelector('.keep')?.setAttribute('aria-pressed', String(verdict === 'keep'));
    const edit = place.querySelector('.edit-button');
    if (edit) edit.textContent = mask.length ? `Edit (${mask.length})` : 'Edit';
    const marks = points.length + boxes.length;
    const pick = place.querySelector('.pick-button');
    if (pick) pick.textContent = marks ? `Pick (${marks})` : 'Pick';
  }
  if (picking && card && row.width) paintMarks(card.querySelector('.view'), row, wholeOf(row));
  const badge = card?.querySelector('.decision');
  if (badge) badge.textContent = verdict ? DECIDED[verdict] : '';
  const view = card?.querySelector('.view:not(.bare)');
  if (!view || picking) return;
  if (verdict === 'keep') cutAt(view, 100);
  else if (view.dataset.kept) flip(view);
  view.dataset.kept = verdict === 'keep' ? 'yes' : '';
  if (mask.length || view.dataset.edits) {
    layMask(view, row, row.window ?? wholeOf(row), SMALL);
    showMask(row, mask.length > 0 || masksMatter(row), card);
  }
  view.dataset.edits = mask.length || '';
}
