/** The table of runners, and the warning if none is connected. */

import { byId, element, show } from './element.js';
import { relative } from './format.js';
import { cell, emptyRow, rowHead, tableRow } from './table.js';

const body = byId('runners', HTMLElement);
const warning = byId('warning', HTMLElement);

/**
 * Shows the runners.
 *
 * @param {import('./server.js').Overview} overview
 * @param {number} now
 */
export function showRunners({ runners }, now) {
  const sentence = runners.some(({ alive }) => alive)
    ? ''
    : 'No runner is connected, so no job runs: set APP_TASKS_ENABLED=true, or start one with npm run worker.';
  if (warning.textContent !== sentence) warning.textContent = sentence;
  warning.hidden = sentence === '';

  const rows = runners.map((runner) => ({ ...runner, started: relative(runner.started_at, now) }));
  show(body, rows, () =>
    rows.length === 0
      ? [emptyRow(5, 'No runner is connected.')]
      : rows.map(({ id, host, pid, threads, running, started, version, alive }) =>
          tableRow(
            rowHead(
              { title: `Version ${version}` },
              `#${id}`,
              !alive && element('span', { class: 'badge' }, 'gone'),
            ),
            cell('clip', host),
            cell('number', pid),
            cell('number', `${running} of ${threads}`),
            cell('number', started),
          ),
        ),
  );
}
