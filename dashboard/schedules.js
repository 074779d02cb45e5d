/**
 * The table of schedules: the last and the next run of each, and the actions of operators.
 *
 * @typedef {import('./server.js').ScheduleReport} ScheduleReport
 */

import { byId, element, show } from './element.js';
import { exactly, relative } from './format.js';
import { act } from './shell.js';
import { stateMark } from './state.js';
import { cell, emptyRow, rowButton, rowHead, tableRow } from './table.js';

const body = byId('schedules', HTMLElement);

/**
 * Shows the schedules.
 *
 * @param {import('./server.js').Overview} overview
 * @param {number} now
 * @param {() => void} refresh reads the data again after a change
 */
export function showSchedules({ schedules, access }, now, refresh) {
  const rows = schedules.map((schedule) => ({
    ...schedule,
    last: schedule.last_run_at === null ? 'never' : relative(schedule.last_run_at, now),
    next: schedule.next_run_at === null ? '' : relative(schedule.next_run_at, now),
  }));
  show(body, [rows, access.writes], () =>
    rows.length === 0
      ? [emptyRow(4, 'There is no schedule, or no runner has started yet.')]
      : rows.map((row) => scheduleRow(row, access.writes === 'allowed', refresh)),
  );
}

/**
 * @param {ScheduleReport & { last: string, next: string }} schedule
 * @param {boolean} isWritable
 * @param {() => void} refresh
 */
function scheduleRow(schedule, isWritable, refresh) {
  const { name, cron, time_zone, paused_at, run_requested_at, last_run_at, last_job, last } = schedule;
  return tableRow(
    rowHead(
      {},
      name,
      paused_at !== null && element('span', { class: 'badge' }, 'paused'),
      element('span', { class: 'remark' }, element('code', {}, cron), ` ${time_zone}`),
    ),
    cell(
      'last',
      element('span', { title: last_run_at === null ? null : exactly(last_run_at) }, last),
      last_job !== null && lastJob(last_job),
    ),
    cell('next', nextRun(schedule)),
    cell(
      'actions',
      isWritable && paused_at === null && run_requested_at === null && runButton(name, refresh),
      isWritable && pauseButton(name, paused_at !== null, refresh),
    ),
  );
}

/** @param {NonNullable<ScheduleReport['last_job']>} job */
function lastJob({ id, state }) {
  const mark = state === null ? element('span', { class: 'quiet' }, 'pruned') : stateMark({ state });
  const name = `#${id}`;
  const link = state === null ? name : element('a', { href: `/jobs/${id}`, 'data-key': `job-${id}` }, name);
  return element('span', { class: 'remark' }, link, ' ', mark);
}

/** @param {ScheduleReport & { next: string }} schedule */
function nextRun({ run_requested_at, paused_at, next_run_at, next }) {
  if (run_requested_at !== null) return 'requested: starts in a moment';
  if (paused_at !== null) return 'none: it is paused';
  if (next_run_at === null) return 'unknown to this version';
  return element(
    'span',
    {},
    next,
    element('span', { class: 'remark' }, exactly(next_run_at).replace(':00.000', '')),
  );
}

/**
 * @param {string} name
 * @param {() => void} refresh
 */
function runButton(name, refresh) {
  return rowButton(
    { key: `run-${name}`, label: `Run now: the schedule ${name}`, text: 'Run now' },
    async () => {
      await act(`schedules/${encodeURIComponent(name)}/run`, `The schedule ${name} runs in a moment.`);
      refresh();
    },
  );
}

/**
 * @param {string} name
 * @param {boolean} isPaused
 * @param {() => void} refresh
 */
function pauseButton(name, isPaused, refresh) {
  const verb = isPaused ? 'Resume' : 'Pause';
  return rowButton({ key: `pause-${name}`, label: `${verb} the schedule ${name}`, text: verb }, async () => {
    await act(
      `schedules/${encodeURIComponent(name)}/${verb.toLowerCase()}`,
      isPaused
        ? `The schedule ${name} continues with its next run.`
        : `The schedule ${name} is paused: it enqueues nothing until it is resumed.`,
    );
    refresh();
  });
}
