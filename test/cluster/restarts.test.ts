import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRestartDelay } from '../../src/cluster/restarts.ts';

test('the delay of processes that never were ready doubles with each death in a row, up to 30 s', () => {
  const delay = createRestartDelay();
  const delays = Array.from({ length: 11 }, () => delay.afterDeath(0).delayMs);
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
});

test('the delay of processes that die soon after they were ready grows up to 1 s', () => {
  const delay = createRestartDelay();
  const delays = Array.from({ length: 6 }, () => delay.afterDeath(500).delayMs);
  assert.deepEqual(delays, [100, 200, 400, 800, 1000, 1000]);
});

test('a death within ten seconds as ready continues the row', () => {
  const delay = createRestartDelay();
  delay.afterDeath(0);
  assert.deepEqual(delay.afterDeath(9_999), { delayMs: 200, deathsInRow: 2 });
});

test('a death after ten seconds as ready starts a new row', () => {
  const delay = createRestartDelay();
  delay.afterDeath(0);
  delay.afterDeath(0);
  assert.deepEqual(delay.afterDeath(10_000), { delayMs: 100, deathsInRow: 1 });
});
