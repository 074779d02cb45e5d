/**
 * The page of all jobs. What the list shows stands in the address, so that it can be sent to somebody, and the button
 * back leads back.
 */

import { byId, element, show } from './element.js';
import { showList } from './list.js';
import { showOverview } from './overview.js';
import { change, look, Refusal } from './server.js';
import { accessSentence, confirmed, say, startPage, tell } from './shell.js';
import { states } from './state.js';

const names = ['state', 'queue', 'task', 'text'];
const form = byId('filters', HTMLFormElement);
const state = byId('filter-state', HTMLSelectElement);
const queue = byId('filter-queue', HTMLSelectElement);
const task = byId('filter-task', HTMLSelectElement);
const text = byId('filter-text', HTMLInputElement);
const retryFailed = byId('retry-failed', HTMLButtonElement);

fillSelect(state, states);
readAddress();
const page = startPage(async () => {
  const asked = new URLSearchParams(location.search);
  /** @type {[import('./server.js').Overview, import('./server.js').JobList]} */
  const [overview, list] = await Promise.all([look('overview'), look(`jobs?${asked}`)]);
  // The reader has asked for something else meanwhile.
  if (asked.toString() !== new URLSearchParams(location.search).toString()) return page.now();
  tell(accessSentence(overview.access));
  showOverview(overview, page.now);
  showList(list, asked, Date.parse(overview.now));
  const counts = [...overview.active, ...(overview.finished ?? [])];
  fillSelect(
    queue,
    counts.map((each) => each.queue),
  );
  fillSelect(
    task,
    counts.map((each) => each.task),
  );
  retryFailed.hidden =
    overview.access.writes !== 'allowed' || asked.get('state') !== 'failed' || list.jobs.length === 0;
});

/**
 * Offers what there is, and keeps what is chosen even when it is there no more.
 *
 * @param {HTMLSelectElement} select
 * @param {readonly string[]} options
 */
function fillSelect(select, options) {
  const chosen = new URLSearchParams(location.search).get(select.name) ?? '';
  const offered = [...new Set(chosen === '' ? options : [...options, chosen])];
  if (select !== state) offered.sort();
  show(select, offered, () =>
    ['', ...offered].map((each) => element('option', { value: each }, each || 'all')),
  );
  select.value = chosen;
}

function readAddress() {
  const asked = new URLSearchParams(location.search);
  for (const select of [state, queue, task]) {
    const chosen = asked.get(select.name) ?? '';
    if (![...select.options].some(({ value }) => value === chosen)) fillSelect(select, [chosen]);
    select.value = chosen;
  }
  text.value = asked.get('text') ?? '';
}

/** @param {URLSearchParams} wanted */
function go(wanted) {
  for (const name of [...names, 'before']) if (wanted.get(name) === '') wanted.delete(name);
  const query = wanted.toString();
  history.pushState(null, '', query === '' ? '/jobs' : `/jobs?${query}`);
  readAddress();
  void page.now();
}

function goByForm() {
  go(new URLSearchParams(names.map((name) => [name, String(new FormData(form).get(name) ?? '').trim()])));
}

form.addEventListener('change', goByForm);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  goByForm();
});
form.addEventListener('reset', (event) => {
  event.preventDefault();
  go(new URLSearchParams());
});
addEventListener('popstate', () => {
  readAddress();
  void page.now();
});

/** Links to other views of this page lead there without loading it anew; with a modifier key they are plain links. */
document.addEventListener('click', (event) => {
  if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (link === null || link.pathname !== '/jobs' || link.hash !== '') return;
  event.preventDefault();
  go(new URLSearchParams(link.search));
  const title = byId('list-title', HTMLElement);
  title.focus({ preventScroll: true });
  title.scrollIntoView({ block: 'start' });
});

retryFailed.addEventListener('click', async () => {
  const wanted = new URLSearchParams();
  for (const select of [queue, task]) if (select.value !== '') wanted.set(select.name, select.value);
  const which = [...wanted].map(([name, value]) => ` of the ${name} ${value}`).join('');
  retryFailed.disabled = true;
  try {
    const { jobs, or_more: orMore } = await look(`retry-failed?${wanted}`);
    if (jobs === 0) say('All of them were refused for good: retry each by itself if you know better.');
    else if (await confirmed(question(`${jobs}${orMore ? ' or more' : ''}`, which), 'Retry them'))
      await retryInBatches(wanted);
  } catch (error) {
    say(error instanceof Refusal ? error.message : 'The page has a fault of its own.');
  }
  retryFailed.disabled = false;
  void page.now();
});

/**
 * @param {string} jobs how many
 * @param {string} which
 */
function question(jobs, which) {
  return (
    `Retry the failed jobs${which} (${jobs})? Each gets what is left of its attempts, at least one. ` +
    'What was refused for good is left out.'
  );
}

/** @param {URLSearchParams} wanted */
async function retryInBatches(wanted) {
  let total = 0;
  /** @type {number | null} */
  let after = 0;
  while (after !== null) {
    wanted.set('after', String(after));
    const batch = await change(`retry-failed?${wanted}`);
    total += batch.retried;
    after = batch.after;
    say(`${total} failed jobs are available again.`);
  }
}
