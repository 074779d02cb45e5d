/**
 * The upper part of the page of all jobs: tiles with the states, charts of the last hour, queues and runners.
 *
 * @typedef {import('./server.js').Overview} Overview
 * @typedef {import('./server.js').Count} Count
 */

import { createChart } from './chart.js';
import { byId, element, show } from './element.js';
import { count, duration, relative } from './format.js';
import { act } from './shell.js';
import { states } from './state.js';

const tiles = byId('states', HTMLElement);
const queues = byId('queues', HTMLElement);
const runners = byId('runners', HTMLElement);

const throughput = createChart(byId('throughput', HTMLElement), {
  title: 'Finished per minute',
  shape: 'bars',
  series: [
    { name: 'completed', kind: 'completed', value: (minute) => minute.completed },
    { name: 'failed', kind: 'failed', value: (minute) => minute.failed },
    { name: 'cancelled', kind: 'cancelled', value: (minute) => minute.cancelled },
  ],
  format: count,
});
const wait = createChart(byId('wait', HTMLElement), {
  title: 'Queue wait',
  shape: 'lines',
  series: [
    { name: 'p50', kind: 'p50', value: (minute) => minute.wait?.p50 ?? null },
    { name: 'p95', kind: 'p95', value: (minute) => minute.wait?.p95 ?? null },
  ],
  format: duration,
});
const run = createChart(byId('run', HTMLElement), {
  title: 'Run time',
  shape: 'lines',
  series: [
    { name: 'p50', kind: 'p50', value: (minute) => minute.run?.p50 ?? null },
    { name: 'p95', kind: 'p95', value: (minute) => minute.run?.p95 ?? null },
  ],
  format: duration,
});

/**
 * Shows an overview.
 *
 * @param {Overview} overview
 * @param {() => void} refresh reads the data again after a change
 */
export function showOverview(overview, refresh) {
  const now = Date.parse(overview.now);
  showStates(overview);
  showQueues(overview, now, refresh);
  showRunners(overview, now);
  for (const chart of [throughput, wait, run]) chart.update(overview.minutes, now);
}

/** @param {Overview} overview */
function showStates({ active, finished }) {
  const counts = states.map((state) => {
    const known = finished !== null || ['available', 'running', 'scheduled'].includes(state);
    return {
      state,
      jobs: known ? sum([...active, ...(finished ?? [])], (each) => each.state === state) : null,
    };
  });
  show(tiles, counts, () =>
    counts.map(({ state, jobs }) =>
      element(
        'li',
        {},
        element(
          'a',
          { class: `tile ${state}`, href: `/jobs?state=${state}`, 'data-key': state, 'data-filter': state },
          element(
            'span',
            { class: 'figure', title: jobs === null && 'Still counting.' },
            jobs === null ? '…' : count(jobs),
          ),
          element('span', { class: `state ${state}` }, state),
        ),
      ),
    ),
  );
}

/**
 * @param {Overview} overview
 * @param {number} now
 * @param {() => void} refresh
 */
function showQueues({ active, finished, paused, access }, now, refresh) {
  const all = [...active, ...(finished ?? [])];
  const names = new Set([...all.map(({ queue }) => queue), ...paused.map(({ queue }) => queue)]);
  const listed = [...names].sort().map((name) => {
    const first = active
      .filter(({ queue, state }) => queue === name && state === 'available')
      .map(({ first_run_at }) => first_run_at ?? '')
      .sort()[0];
    return {
      name,
      /** @param {string} state */
      paused: paused.some(({ queue }) => queue === name),
      jobs: states.map((state) => sum(all, (each) => each.queue === name && each.state === state)),
      since: first === undefined ? '' : relative(first, now),
    };
  });
  show(queues, [listed, access.writes, finished === null], () =>
    listed.length === 0
      ? [emptyRow(7, 'No queue has jobs.')]
      : listed.map(
          ({
            name,
            paused: isPaused,
            jobs: [available = 0, running = 0, scheduled = 0, , failed = 0],
            since,
          }) =>
            element(
              'tr',
              {},
              element(
                'th',
                { scope: 'row' },
                name,
                isPaused && element('span', { class: 'badge' }, 'paused'),
              ),
              number(available),
              number(running),
              number(scheduled, 'wide'),
              finished === null
                ? element('td', { class: 'number' }, '…')
                : number(failed, failed > 0 ? 'bad' : ''),
              element('td', { class: 'number wide' }, since),
              element(
                'td',
                { class: 'number' },
                access.writes === 'allowed' && pauseButton(name, isPaused, refresh),
              ),
            ),
        ),
  );
}

/**
 * @param {string} name
 * @param {boolean} isPaused
 * @param {() => void} refresh
 */
function pauseButton(name, isPaused, refresh) {
  const verb = isPaused ? 'Resume' : 'Pause';
  const button = element(
    'button',
    { type: 'button', 'data-key': `pause-${name}`, 'aria-label': `${verb} the queue ${name}` },
    verb,
  );
  button.addEventListener('click', async () => {
    await act(
      `queues/${encodeURIComponent(name)}/${verb.toLowerCase()}`,
      isPaused
        ? `The queue ${name} is resumed.`
        : `The queue ${name} is paused: running jobs continue, no other jobs start.`,
    );
    refresh();
  });
  return button;
}

/**
 * @param {Overview} overview
 * @param {number} now
 */
function showRunners({ runners: listed }, now) {
  const rows = listed.map((runner) => ({ ...runner, started: relative(runner.started_at, now) }));
  show(runners, rows, () =>
    rows.length === 0
      ? [
          emptyRow(
            5,
            'No runner is connected, so no job runs: set APP_TASKS_ENABLED=true, or start one with npm run worker.',
          ),
        ]
      : rows.map(({ id, host, pid, threads, running, started, version, alive }) =>
          element(
            'tr',
            {},
            element(
              'th',
              { scope: 'row', title: `Version ${version}` },
              `#${id}`,
              !alive && element('span', { class: 'badge' }, 'gone'),
            ),
            element('td', { class: 'clip' }, host),
            element('td', { class: 'number' }, pid),
            element('td', { class: 'number' }, `${running} of ${threads}`),
            element('td', { class: 'number' }, started),
          ),
        ),
  );
}

/**
 * @param {readonly Count[]} counts
 * @param {(each: Count) => boolean} belongs
 */
function sum(counts, belongs) {
  return counts.filter(belongs).reduce((total, { jobs }) => total + jobs, 0);
}

/**
 * @param {number} value
 * @param {string} [kind]
 */
function number(value, kind = '') {
  return element('td', { class: `number ${kind}${value === 0 ? ' none' : ''}` }, count(value));
}

/**
 * @param {number} columns
 * @param {string} sentence
 */
function emptyRow(columns, sentence) {
  return element('tr', {}, element('td', { colspan: columns, class: 'empty' }, sentence));
}
