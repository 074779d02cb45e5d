/**
 * The upper part of the page of all jobs: tiles with the states, charts of the last hour, queues, runners and schedules.
 *
 * @typedef {import('./server.js').Overview} Overview
 */

import { createChart } from './chart.js';
import { byId, element, show } from './element.js';
import { count, duration } from './format.js';
import { showQueues } from './queues.js';
import { showRunners } from './runners.js';
import { showSchedules } from './schedules.js';
import { activeStates, states } from './state.js';

const tiles = byId('states', HTMLElement);

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
  showSchedules(overview, now, refresh);
  for (const chart of [throughput, wait, run]) chart.update(overview.minutes, now);
}

/** @param {Overview} overview */
function showStates({ active, finished }) {
  const all = [...active, ...(finished ?? [])];
  const counts = states.map((state) => {
    const known = finished !== null || activeStates.includes(state);
    const jobs = all.filter((each) => each.state === state).reduce((sum, each) => sum + each.jobs, 0);
    return { state, jobs: known ? jobs : null };
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
