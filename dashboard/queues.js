/**
 * The table of queues: their jobs by state, and the actions of operators.
 *
 * @typedef {import('./server.js').Overview} Overview
 */

import { runRetrying } from './batch.js';
import { byId, element, show } from './element.js';
import { relative } from './format.js';
import { act } from './shell.js';
import { states } from './state.js';
import { cell, emptyRow, numberCell, rowButton, rowHead, tableRow } from './table.js';

const body = byId('queues', HTMLElement);

/**
 * Shows the queues.
 *
 * @param {Overview} overview
 * @param {number} now
 * @param {() => void} refresh reads the data again after a change
 */
export function showQueues({ active, finished, paused, access }, now, refresh) {
  const all = [...active, ...(finished ?? [])];
  const names = new Set([...all.map(({ queue }) => queue), ...paused.map(({ queue }) => queue)]);
  const rows = [...names].sort().map((name) => {
    const first = active
      .filter(({ queue, state }) => queue === name && state === 'available')
      .map(({ first_run_at }) => first_run_at ?? '')
      .sort()[0];
    return {
      name,
      isPaused: paused.some(({ queue }) => queue === name),
      jobs: states.map((state) => countOf(all, name, state)),
      since: first === undefined ? '' : relative(first, now),
    };
  });
  show(body, [rows, access.writes, finished === null], () =>
    rows.length === 0
      ? [emptyRow(8, 'No queue has jobs.')]
      : rows.map((row) => queueRow(row, finished !== null, access.writes === 'allowed', refresh)),
  );
}

/**
 * @param {{ name: string, isPaused: boolean, jobs: readonly number[], since: string }} row the jobs in the order of `states`
 * @param {boolean} isCounted whether finished jobs are counted
 * @param {boolean} isWritable
 * @param {() => void} refresh
 */
function queueRow({ name, isPaused, jobs, since }, isCounted, isWritable, refresh) {
  const [available = 0, running = 0, scheduled = 0, retrying = 0, , failed = 0] = jobs;
  /** @param {string} state */
  const href = (state) => `/jobs?${new URLSearchParams({ state, queue: name })}`;
  return tableRow(
    rowHead({}, name, isPaused && element('span', { class: 'badge' }, 'paused')),
    numberCell(available),
    numberCell(running),
    numberCell(scheduled),
    numberCell(retrying, { kind: 'again', href: href('retrying'), key: `retrying-${name}` }),
    numberCell(isCounted ? failed : null, { kind: 'bad', href: href('failed'), key: `failed-${name}` }),
    cell('number wide', since),
    cell(
      'actions',
      isWritable &&
        retrying > 0 &&
        rowButton(
          {
            key: `run-${name}`,
            label: `Run retrying jobs of the queue ${name} now`,
            text: 'Run retrying',
          },
          async () => {
            await runRetrying(new URLSearchParams({ queue: name }));
            refresh();
          },
        ),
      isWritable && pauseButton(name, isPaused, refresh),
    ),
  );
}

/**
 * @param {readonly import('./server.js').Count[]} counts
 * @param {string} name
 * @param {string} wanted
 */
function countOf(counts, name, wanted) {
  return counts
    .filter(({ queue, state }) => queue === name && state === wanted)
    .reduce((total, { jobs }) => total + jobs, 0);
}

/**
 * @param {string} name
 * @param {boolean} isPaused
 * @param {() => void} refresh
 */
function pauseButton(name, isPaused, refresh) {
  const verb = isPaused ? 'Resume' : 'Pause';
  return rowButton({ key: `pause-${name}`, label: `${verb} the queue ${name}`, text: verb }, async () => {
    await act(
      `queues/${encodeURIComponent(name)}/${verb.toLowerCase()}`,
      isPaused
        ? `The queue ${name} is resumed.`
        : `The queue ${name} is paused: running jobs continue, no other jobs start.`,
    );
    refresh();
  });
}
