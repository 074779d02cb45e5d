import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fleetReadiness, type ProcessReport } from '../../src/cluster/fleet.ts';

const worker = (state: ProcessReport['state'], secondsSinceHeartbeat = 0): ProcessReport => ({
  id: 1,
  kind: 'requests',
  pid: 2,
  state,
  ageSeconds: 60,
  requests: 0,
  inFlight: 0,
  rssBytes: 0,
  heapBytes: 0,
  eventLoopLagMs: 0,
  utilisation: 0,
  secondsSinceHeartbeat,
});

test('a fleet with one responsive worker is ready', () => {
  const { ready, detail } = fleetReadiness([worker('ready'), worker('ready', 10), worker('starting')], false);
  assert.equal(ready, true);
  assert.equal(detail, '1 of 3 workers answer.');
});

for (const [when, workers, detailPattern] of [
  ['while all workers are starting', [worker('starting')], /No worker is ready/],
  ['when the last worker drains', [worker('draining')], /No worker is ready/],
  ['without a worker', [], /No worker is ready/],
  ['while the event loop of each worker is blocked', [worker('ready', 4), worker('ready', 20)], /blocked/],
] as const) {
  test(`the fleet is not ready ${when}`, () => {
    const { ready, detail } = fleetReadiness(workers, false);
    assert.equal(ready, false);
    assert.match(detail, detailPattern);
  });
}

test('a fleet that is stopping is not ready, although its workers are', () => {
  assert.equal(fleetReadiness([worker('ready')], true).ready, false);
});
