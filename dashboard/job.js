/** The page of one job: its details, progress, history, payload and result. */

import { byId, element, show } from './element.js';
import { duration, exactly, queueWait, relative, runTime } from './format.js';
import { showHistory } from './history.js';
import { look, RequestError } from './server.js';
import { accessSentence, act, confirmed, notify, startPage } from './shell.js';
import { activeStates, stateMark } from './state.js';
import { showNotice } from './status.js';

const id = location.pathname.split('/').at(-1) ?? '';
const title = byId('title', HTMLElement);
const summary = byId('summary', HTMLElement);
const runNow = byId('run', HTMLButtonElement);
const retry = byId('retry', HTMLButtonElement);
const cancel = byId('cancel', HTMLButtonElement);

const page = startPage(async () => {
  /** @type {import('./server.js').OneJob} */
  const { job, access, now: nowText } = await look(`jobs/${id}`).catch(nameMissing);
  const now = Date.parse(nowText);
  showNotice(accessSentence(access));
  document.title = `${job.name} #${job.id}: ${job.state}`;
  show(title, [job.name, job.id], () => [job.name, ' ', element('span', { class: 'id' }, `#${job.id}`)]);
  showSummary(job);
  showDetails(job, now);
  showLog(job);
  showHistory(job, access.contents);
  showContent('payload', job.payload, access.contents, 'This job has no payload.');
  showContent('result', job.result, access.contents, 'There is no result.');
  retry.hidden = access.writes !== 'allowed' || !['failed', 'cancelled'].includes(job.state);
  runNow.hidden = access.writes !== 'allowed' || !isWaiting(job);
  cancel.hidden = access.writes !== 'allowed' || job.cancel_requested || !activeStates.includes(job.state);
  byId('job', HTMLElement).hidden = false;
});

/** @param {unknown} error */
function nameMissing(error) {
  if (error instanceof RequestError && error.status === 404) document.title = `Job #${id}: not found`;
  throw error;
}

/** Whether the job waits for its time. @param {import('./server.js').WholeJob} job */
function isWaiting({ state }) {
  return state === 'scheduled' || state === 'retrying';
}

runNow.addEventListener('click', async () => {
  await act(`jobs/${id}/run`, 'The job is available: it runs as soon as a thread is free.');
  void page.now();
});
retry.addEventListener('click', async () => {
  await act(`jobs/${id}/retry`, 'The job is available again, with at least one attempt.');
  void page.now();
});
cancel.addEventListener('click', async () => {
  if (!(await confirmed('Cancel this job? If it is running, it is aborted.', 'Cancel the job'))) return;
  await act(`jobs/${id}/cancel`, 'The job is cancelled, or will be aborted in a moment.');
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
function showDetails(job, now) {
  /** @type {[string, string | null][]} */
  const details = [
    ['Task', job.name],
    ['Queue', job.queue],
    ['Priority', String(job.priority)],
    ['Timeout per attempt', duration(job.timeout_ms)],
    ['Enqueued', at(job.created_at, now)],
    [isWaiting(job) ? 'Next run' : 'Due', at(job.run_at, now)],
    ['Last start', at(job.started_at, now)],
    ['Finished', at(job.finished_at, now)],
    ['Queue wait', queueWait(job)],
    ['Run time', runTime(job)],
    ['User', job.user_id === null ? null : String(job.user_id)],
    ['Unique key', job.unique_key],
    ['Runner', job.runner === null ? null : `#${job.runner}`],
  ];
  const known = details.filter(([, value]) => value !== null && value !== '');
  show(byId('details', HTMLElement), known, () =>
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
      notify('Copied.');
    } catch {
      notify('The browser does not allow copying: select the text instead.');
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
      return [element('p', { class: 'quiet' }, 'It may contain personal data: enter the token to see it.')];
    if (value === null || value === undefined) return [element('p', { class: 'quiet' }, none)];
    const text = JSON.stringify(value, null, 2);
    return [
      element('pre', { tabindex: 0, role: 'region', 'aria-label': `The ${place}`, 'data-key': place }, text),
    ];
  });
}
