import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkerReport } from '../../src/cluster/fleet.ts';
import { readinessOf } from '../../src/cluster/fleet-readiness.ts';

const worker = (state: WorkerReport['state'], silentSeconds = 0): WorkerReport => ({
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
  silentSeconds,
});

test('one worker that answers is enough', () => {
  const { ready, detail } = readinessOf([worker('ready'), worker('ready', 10), worker('starting')], false);
  assert.equal(ready, true);
  assert.equal(detail, '1 of 3 workers answer.');
});

for (const [what, workers, says] of [
  ['while all are starting', [worker('starting')], /No worker is ready/],
  ['when the last one drains', [worker('draining')], /No worker is ready/],
  ['when there is none', [], /No worker is ready/],
  ['while the event loop of each is blocked', [worker('ready', 4), worker('ready', 20)], /blocked/],
] as const) {
  test(`the fleet is not ready ${what}`, () => {
    const { ready, detail } = readinessOf(workers, false);
    assert.equal(ready, false);
    assert.match(detail, says);
  });
}

test('a fleet that is about to stop is not ready, though its workers are', () => {
  assert.equal(readinessOf([worker('ready')], true).ready, false);
});
