import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRestartDelay } from '../../src/cluster/restart-delay.ts';

test('the delay doubles with each death in a row, up to half a minute', () => {
  const delay = createRestartDelay();
  const delays = Array.from({ length: 11 }, () => delay.afterDeath(0).delayMs);
  assert.deepEqual(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
});

test('a worker that was ready for a moment before it died does not start the count anew', () => {
  const delay = createRestartDelay();
  delay.afterDeath(0);
  assert.deepEqual(delay.afterDeath(9_999), { delayMs: 200, deathsInRow: 2 });
});

test('one that was ready for ten seconds does', () => {
  const delay = createRestartDelay();
  delay.afterDeath(0);
  delay.afterDeath(0);
  assert.deepEqual(delay.afterDeath(10_000), { delayMs: 100, deathsInRow: 1 });
});
