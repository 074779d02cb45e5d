/** Changes all jobs of a filter after a confirmation, in batches, so that the page can show the progress. */

import { change, look, RequestError } from './server.js';
import { confirmed, notify } from './shell.js';

/**
 * @typedef {object} Batch
 * @property {string} path
 * @property {string} none the notification if no job can be changed
 * @property {(jobs: string, which: string) => string} question
 * @property {string} yes the label of the button
 * @property {(total: number) => string} progress
 */

/** @type {Batch} */
const failed = {
  path: 'retry-failed',
  none: 'All of them were rejected permanently. To run one anyway, retry it on its own page.',
  question: (jobs, which) =>
    `Retry the failed jobs${which} (${jobs})? Each gets its remaining attempts, at least one. ` +
    'Jobs that were rejected permanently are not retried.',
  yes: 'Retry jobs',
  progress: (total) => `${total} failed jobs are available again.`,
};

/** @type {Batch} */
const retrying = {
  path: 'run-retrying',
  none: 'No job waits for a retry any more.',
  question: (jobs, which) =>
    `Run the retrying jobs${which} (${jobs}) now? Each uses one of its remaining attempts.`,
  yes: 'Run jobs',
  progress: (total) => `${total} retrying jobs are available.`,
};

/** Retries the failed jobs of a queue, a task, or all. @param {URLSearchParams} filter */
export function retryFailed(filter) {
  return changeAll(failed, filter);
}

/** Runs the retrying jobs of a queue, a task, or all, without waiting for their time. @param {URLSearchParams} filter */
export function runRetrying(filter) {
  return changeAll(retrying, filter);
}

/**
 * @param {Batch} batch
 * @param {URLSearchParams} filter `queue` and `task`
 */
async function changeAll(batch, filter) {
  const which = [...filter].map(([name, value]) => ` of the ${name} ${value}`).join('');
  try {
    const { jobs, or_more: orMore } = await look(`${batch.path}?${filter}`);
    if (jobs === 0) notify(batch.none);
    else if (await confirmed(batch.question(`${jobs}${orMore ? ' or more' : ''}`, which), batch.yes))
      await inBatches(batch, new URLSearchParams(filter));
  } catch (error) {
    notify(error instanceof RequestError ? error.message : 'This page has an internal error.');
  }
}

/**
 * @param {Batch} batch
 * @param {URLSearchParams} wanted
 */
async function inBatches({ path, progress }, wanted) {
  let total = 0;
  /** @type {number | null} */
  let after = 0;
  while (after !== null) {
    wanted.set('after', String(after));
    const changed = await change(`${path}?${wanted}`);
    total += changed.retried ?? changed.started;
    after = changed.after;
    notify(progress(total));
  }
}
