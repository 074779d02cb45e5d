/**
 * The page of all jobs. The filters are part of the address, so that a view can be shared, and the back button works.
 */

import { retryFailed, runRetrying } from './batch.js';
import { byId, element, show } from './element.js';
import { showList } from './list.js';
import { showOverview } from './overview.js';
import { look } from './server.js';
import { accessSentence, startPage } from './shell.js';
import { states } from './state.js';
import { showNotice } from './status.js';

const names = ['state', 'queue', 'task', 'text'];
const form = byId('filters', HTMLFormElement);
const state = byId('filter-state', HTMLSelectElement);
const queue = byId('filter-queue', HTMLSelectElement);
const task = byId('filter-task', HTMLSelectElement);
const text = byId('filter-text', HTMLInputElement);
const retryAll = byId('retry-failed', HTMLButtonElement);
const runAll = byId('run-retrying', HTMLButtonElement);

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
  const isChangeable = overview.access.writes === 'allowed' && list.jobs.length > 0;
  retryAll.hidden = !isChangeable || asked.get('state') !== 'failed';
  runAll.hidden = !isChangeable || asked.get('state') !== 'retrying';
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

retryAll.addEventListener('click', () => changeFiltered(retryAll, retryFailed));
runAll.addEventListener('click', () => changeFiltered(runAll, runRetrying));

/**
 * Changes the jobs of the selected queue and task.
 *
 * @param {HTMLButtonElement} button
 * @param {(filter: URLSearchParams) => Promise<void>} work
 */
async function changeFiltered(button, work) {
  const filter = new URLSearchParams();
  for (const select of [queue, task]) if (select.value !== '') filter.set(select.name, select.value);
  button.disabled = true;
  await work(filter);
  button.disabled = false;
  void page.now();
}
