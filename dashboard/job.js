/** The page of one job: what it is, how far it is, what happened to it, what it holds. */

import { byId, element, show } from './element.js';
import { between, duration, exactly, relative } from './format.js';
import { showHistory } from './history.js';
import { look } from './server.js';
import { accessSentence, act, confirmed, say, startPage, tell } from './shell.js';
import { stateMark } from './state.js';

const id = location.pathname.split('/').at(-1) ?? '';
const title = byId('title', HTMLElement);
const summary = byId('summary', HTMLElement);
const retry = byId('retry', HTMLButtonElement);
const cancel = byId('cancel', HTMLButtonElement);

const page = startPage(async () => {
  /** @type {import('./server.js').OneJob} */
  const { job, access, now: nowText } = await look(`jobs/${id}`);
  const now = Date.parse(nowText);
  tell(accessSentence(access));
  document.title = `${job.name} #${job.id}: ${job.state}`;
  show(title, [job.name, job.id], () => [job.name, ' ', element('span', { class: 'id' }, `#${job.id}`)]);
  showSummary(job);
  showFacts(job, now);
  showLog(job);
  showHistory(job, access.contents);
  showContent('payload', job.payload, access.contents, 'It has none.');
  showContent('result', job.result, access.contents, 'There is none.');
  retry.hidden = access.writes !== 'allowed' || !['failed', 'cancelled'].includes(job.state);
  cancel.hidden =
    access.writes !== 'allowed' ||
    job.cancel_requested ||
    !['scheduled', 'available', 'running'].includes(job.state);
  byId('job', HTMLElement).hidden = false;
});

retry.addEventListener('click', async () => {
  await act(`jobs/${id}/retry`, 'The job is available again, with at least one attempt.');
  void page.now();
});
cancel.addEventListener('click', async () => {
  if (!(await confirmed('Cancel this job? One that runs is ended.', 'Cancel it'))) return;
  await act(`jobs/${id}/cancel`, 'The job is cancelled, or ends in a moment.');
  void page.now();
});

/** @param {import('./server.js').WholeJob} job */
function showSummary(job) {
  const { state, progress, progress_message: message, attempt, max_attempts: most } = job;
  const moving = state === 'running' || (progress > 0 && progress < 1);
  show(summary, [state, job.cancel_requested, progress, message, attempt, most], () => [
    stateMark(job),
    element('span', { class: 'quiet' }, `attempt ${attempt} of ${most}`),
    moving && element('progress', { max: 1, value: progress, 'aria-label': 'Progress' }),
    moving && element('span', { class: 'figures' }, `${Math.round(progress * 100)} %`),
    message !== null && element('span', { class: 'quiet' }, message),
  ]);
}

/**
 * @param {import('./server.js').WholeJob} job
 * @param {number} now
 */
function showFacts(job, now) {
  /** @type {[string, string | null][]} */
  const facts = [
    ['Task', job.name],
    ['Queue', job.queue],
    ['Priority', String(job.priority)],
    ['Time-out of an attempt', duration(job.timeout_ms)],
    ['Enqueued', at(job.created_at, now)],
    ['To run at', at(job.run_at, now)],
    ['Last start', at(job.started_at, now)],
    ['Finished', at(job.finished_at, now)],
    ['Waited for its start', between(job.run_at, job.started_at)],
    ['Ran', job.finished_at === null ? null : between(job.started_at, job.finished_at)],
    ['User', job.user_id === null ? null : String(job.user_id)],
    ['Unique key', job.unique_key],
    ['Runner', job.runner === null ? null : `#${job.runner}`],
  ];
  const known = facts.filter(([, value]) => value !== null && value !== '');
  show(byId('facts', HTMLElement), known, () =>
    known.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))),
  );
}

/**
 * @param {string | null} time
 * @param {number} now
 */
function at(time, now) {
  return time === null ? null : `${exactly(time)} (${relative(time, now)})`;
}

/** @param {import('./server.js').WholeJob} job */
function showLog({ id: jobId, request_id: requestId, runner }) {
  const lines = [`"job_id":${jobId}`];
  if (requestId !== null) lines.push(`"request_id":${JSON.stringify(requestId)}`);
  if (runner !== null) lines.push(`"runner":${runner}`);
  show(byId('log', HTMLElement), lines, () =>
    lines.map((line) => element('li', {}, element('code', {}, line), copy(line))),
  );
}

/** @param {string} text */
function copy(text) {
  const button = element(
    'button',
    { type: 'button', 'data-key': text, 'aria-label': `Copy ${text}` },
    'Copy',
  );
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      say('Copied.');
    } catch {
      say('The browser does not let this page copy: select the text instead.');
    }
  });
  return button;
}

/**
 * @param {'payload' | 'result'} place
 * @param {unknown} value
 * @param {boolean} contents
 * @param {string} none
 */
function showContent(place, value, contents, none) {
  show(byId(place, HTMLElement), [value, contents, none], () => {
    if (!contents)
      return [element('p', { class: 'quiet' }, 'It may hold personal data: give the token to see it.')];
    if (value === null || value === undefined) return [element('p', { class: 'quiet' }, none)];
    const text = JSON.stringify(value, null, 2);
    return [
      element('pre', { tabindex: 0, role: 'region', 'aria-label': `The ${place}`, 'data-key': place }, text),
    ];
  });
}
