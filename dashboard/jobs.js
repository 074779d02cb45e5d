/**
 * The page of all jobs. The filters are part of the address, so that a view can be shared, and the back button works.
 */

import { byId, element, show } from './element.js';
import { showList } from './list.js';
import { showOverview } from './overview.js';
import { change, look, RequestError } from './server.js';
import { accessSentence, confirmed, notify, showNotice, startPage } from './shell.js';
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
  // The user has changed the filters meanwhile.
  if (asked.toString() !== new URLSearchParams(location.search).toString()) return page.now();
  showNotice(accessSentence(overview.access));
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
 * Offers the existing values, and keeps the selected one even if it no longer exists.
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

/** Links to other views of this page do not reload it, except with a modifier key. */
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
    if (jobs === 0)
      notify('All of them were rejected permanently. To run one anyway, retry it on its own page.');
    else if (await confirmed(question(`${jobs}${orMore ? ' or more' : ''}`, which), 'Retry jobs'))
      await retryInBatches(wanted);
  } catch (error) {
    notify(error instanceof RequestError ? error.message : 'This page has an internal error.');
  }
  retryFailed.disabled = false;
  void page.now();
});

/**
 * @param {string} jobs their number
 * @param {string} which
 */
function question(jobs, which) {
  return (
    `Retry the failed jobs${which} (${jobs})? Each gets its remaining attempts, at least one. ` +
    'Jobs that were rejected permanently are not retried.'
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
    notify(`${total} failed jobs are available again.`);
  }
}
