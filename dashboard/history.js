/**
 * The history of a job as a line of time: enqueued, each attempt that failed, the one that runs, the end. Of attempts
 * that ended well or were released nothing is kept but the last.
 *
 * @typedef {import('./server.js').WholeJob} WholeJob
 * @typedef {import('./server.js').Fault} Fault
 */

import { byId, element, show } from './element.js';
import { between, duration, exactly } from './format.js';

/**
 * Shows it.
 *
 * @param {WholeJob} job
 * @param {boolean} contents whether messages and stacks are there
 */
export function showHistory(job, contents) {
  const { created_at, run_at, started_at, finished_at, state, attempt, errors, runner } = job;
  const seen = [created_at, run_at, started_at, finished_at, state, attempt, errors, runner, contents];
  show(byId('history', HTMLElement), seen, () => [
    event('available', 'Enqueued', created_at, later(created_at, run_at)),
    ...errors.map((fault) => failure(fault, contents)),
    ...(state === 'scheduled' && attempt > 0 ? [event('scheduled', 'To run again', run_at, '')] : []),
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
 * @param {string} enqueued
 * @param {string} due
 */
function later(enqueued, due) {
  const ms = Date.parse(due) - Date.parse(enqueued);
  return ms > 1_000 ? `now due ${duration(ms)} after that` : '';
}

/**
 * @param {WholeJob} job
 * @param {string} at
 */
function ending({ state, started_at, attempt }, at) {
  const words = {
    completed: `Attempt ${attempt} completed`,
    failed: 'Failed for good',
    cancelled: 'Cancelled',
  };
  const title = state === 'completed' || state === 'failed' || state === 'cancelled' ? words[state] : state;
  return event(state, title, at, state === 'completed' ? `after ${between(started_at, at)}` : '');
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
 * @param {Fault} fault
 * @param {boolean} contents
 */
function failure({ attempt, at, code, message, details, stack }, contents) {
  const hidden = contents ? null : element('p', { class: 'quiet' }, 'Give the token to see why.');
  return event(
    'failed',
    `Attempt ${attempt} failed`,
    at,
    code,
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
