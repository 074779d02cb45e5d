/**
 * The history of a job as a timeline: enqueued, each failed attempt, each retry by an operator, the running attempt, the end.
 * Attempts that completed or were released are not stored, except for the last.
 *
 * @typedef {import('./server.js').WholeJob} WholeJob
 * @typedef {import('./server.js').AttemptError} AttemptError
 */

import { byId, element, show } from './element.js';
import { duration, errorName, exactly, runTime } from './format.js';

/**
 * Shows the history.
 *
 * @param {WholeJob} job
 * @param {boolean} contents whether messages and stacks are there
 */
export function showHistory(job, contents) {
  const { created_at, run_at, started_at, finished_at, state, attempt, errors, retries, runner } = job;
  const seen = [
    created_at,
    run_at,
    started_at,
    finished_at,
    state,
    attempt,
    errors,
    retries,
    runner,
    contents,
  ];
  show(byId('history', HTMLElement), seen, () => [
    event('available', 'Enqueued', created_at, later(job)),
    ...past(job, contents),
    ...(state === 'scheduled' || state === 'retrying' ? [event(state, 'Next run', run_at, '')] : []),
    ...(state === 'running' && started_at !== null
      ? [
          event(
            'running',
            `Attempt ${attempt} started`,
            started_at,
            runner === null ? '' : `by runner #${runner}`,
          ),
        ]
      : []),
    ...(finished_at === null ? [] : [ending(job, finished_at)]),
  ]);
}

/**
 * Returns the delay with which a job was enqueued. It is known only before the first attempt or retry, which change `run_at`.
 *
 * @param {WholeJob} job
 */
function later({ attempt, retries, created_at, run_at }) {
  const ms = Date.parse(run_at) - Date.parse(created_at);
  return attempt === 0 && retries.length === 0 && ms > 1_000 ? `due ${duration(ms)} later` : '';
}

/**
 * Returns failures and retries in the order of time. All times have the same format, so they are compared as texts.
 *
 * @param {WholeJob} job
 * @param {boolean} contents
 */
function past({ errors, retries }, contents) {
  const events = [
    ...errors.map((error) => ({ at: error.at, shown: failure(error, contents) })),
    ...retries.map((at) => ({ at, shown: event('available', startOf(at, errors), at, '') })),
  ];
  return events
    .sort((one, other) => (one.at < other.at ? -1 : Number(one.at > other.at)))
    .map(({ shown }) => shown);
}

/**
 * Returns what an operator did at a time: before the first failure, the job was started early.
 *
 * @param {string} at
 * @param {readonly AttemptError[]} errors
 */
function startOf(at, errors) {
  return errors.some((error) => error.at < at) ? 'Retried by an operator' : 'Started by an operator';
}

/**
 * @param {WholeJob} job
 * @param {string} at
 */
function ending(job, at) {
  const { state, attempt } = job;
  const words = {
    completed: `Attempt ${attempt} completed`,
    failed: 'Failed permanently',
    cancelled: 'Cancelled',
  };
  const title = state === 'completed' || state === 'failed' || state === 'cancelled' ? words[state] : state;
  return event(state, title, at, state === 'completed' ? `after ${runTime(job)}` : '');
}

/**
 * @param {string} kind
 * @param {string} title
 * @param {string} at
 * @param {string} remark
 * @param {...(Node | null)} more
 */
function event(kind, title, at, remark, ...more) {
  return element(
    'li',
    { class: kind },
    element('p', {}, element('strong', {}, title), ' ', element('span', { class: 'quiet' }, remark)),
    element('time', { datetime: at }, exactly(at)),
    ...more,
  );
}

/**
 * @param {AttemptError} error
 * @param {boolean} contents
 */
function failure({ attempt, at, code, message, details, stack }, contents) {
  const hidden = contents ? null : element('p', { class: 'quiet' }, 'Enter the token to see the reason.');
  return event(
    'failed',
    `Attempt ${attempt} failed`,
    at,
    errorName(code),
    message === null ? hidden : element('p', { class: 'message' }, message),
    details === undefined || details === null
      ? null
      : folded(`Details ${attempt}`, JSON.stringify(details, null, 2)),
    stack === undefined ? null : folded(`Stack ${attempt}`, stack),
  );
}

/**
 * @param {string} key
 * @param {string} text
 */
function folded(key, text) {
  const title = key.split(' ')[0];
  return element(
    'details',
    { 'data-key': key },
    element('summary', {}, title),
    element('pre', { tabindex: 0, role: 'region', 'aria-label': key }, text),
  );
}
