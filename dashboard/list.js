/** The lower part of the page of all jobs: the list, newest first. */

import { byId, element, show } from './element.js';
import { duration, errorName, exactly, queueWait, relative, runTime } from './format.js';
import { stateMark } from './state.js';

const body = byId('jobs', HTMLElement);
const empty = byId('empty', HTMLElement);
const newest = byId('newest', HTMLAnchorElement);
const older = byId('older', HTMLAnchorElement);

/**
 * Shows a page.
 *
 * @param {import('./server.js').JobList} list
 * @param {URLSearchParams} asked the parameters of the request
 * @param {number} now milliseconds since 1970
 */
export function showList({ jobs, before }, asked, now) {
  const rows = jobs.map((job) => ({ ...job, when: relative(latest(job), now) }));
  show(body, rows, () => rows.map((job) => row(job, now)));
  empty.hidden = jobs.length > 0;
  if (jobs.length === 0) empty.textContent = emptySentence(asked, before);
  newest.hidden = !asked.has('before');
  newest.href = pageOf(asked, null);
  older.hidden = before === null;
  older.href = pageOf(asked, before);
}

/** The arrow keys move the focus from row to row. */
body.addEventListener('keydown', (event) => {
  const links = Array.from(body.querySelectorAll('a'));
  const at = links.findIndex((link) => link.matches(':focus'));
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0 || at < 0) return;
  event.preventDefault();
  links[at + step]?.focus();
});

/**
 * @param {URLSearchParams} asked
 * @param {number | null} before
 */
function emptySentence(asked, before) {
  if (before !== null) return 'No matches among the jobs searched so far: continue with older jobs.';
  const filtered = ['state', 'queue', 'task', 'text'].some((name) => asked.has(name));
  if (filtered) return 'No jobs match these filters.';
  return asked.has('before') ? 'There are no older jobs.' : 'There are no jobs yet. New jobs appear here.';
}

/**
 * @param {URLSearchParams} asked
 * @param {number | null} before
 */
function pageOf(asked, before) {
  const wanted = new URLSearchParams(asked);
  wanted.delete('before');
  if (before !== null) wanted.set('before', String(before));
  const query = wanted.toString();
  return query === '' ? '/jobs' : `/jobs?${query}`;
}

/** Returns the time of the last change of state, or of the next run. @param {import('./server.js').ListedJob} job */
function latest(job) {
  if (job.finished_at !== null) return job.finished_at;
  if (job.state === 'running' && job.started_at !== null) return job.started_at;
  return job.run_at;
}

/**
 * @param {import('./server.js').ListedJob & { when: string }} job
 * @param {number} now
 */
function row(job, now) {
  const link = element(
    'a',
    { href: `/jobs/${job.id}`, 'data-key': job.id },
    element('span', { class: 'task' }, job.name),
    ' ',
    element('span', { class: 'id' }, `#${job.id}`),
  );
  return element(
    'tr',
    {},
    element('td', {}, stateMark(job)),
    element('td', { class: 'job' }, link, remark(job)),
    element('td', { class: 'wide' }, job.queue),
    element('td', { class: 'number wide' }, `${job.attempt} / ${job.max_attempts}`),
    element('td', { class: 'number wide' }, waited(job, now)),
    element('td', { class: 'number wide' }, runTime(job)),
    element(
      'td',
      { class: 'wide code' },
      element('span', { title: job.request_id }, job.request_id?.slice(0, 8)),
    ),
    element('td', { class: 'number', title: exactly(latest(job)) }, job.when),
  );
}

/**
 * @param {import('./server.js').ListedJob} job
 * @param {number} now
 */
function waited(job, now) {
  if (job.state === 'available') return duration(Math.round((now - Date.parse(job.run_at)) / 1_000) * 1_000);
  return queueWait(job);
}

/** Shows the progress of a running job, or the error of a failed one. @param {import('./server.js').ListedJob} job */
function remark(job) {
  if (job.state === 'running' && (job.progress > 0 || job.progress_message !== null)) {
    return element(
      'span',
      { class: 'remark' },
      element('progress', { max: 1, value: job.progress, 'aria-label': `Progress of job ${job.id}` }),
      ` ${Math.round(job.progress * 100)} % `,
      job.progress_message,
    );
  }
  if (job.last_error === null || job.state === 'completed') return null;
  const { code, message } = job.last_error;
  return element('span', { class: 'remark' }, element('code', {}, errorName(code)), ' ', message);
}
