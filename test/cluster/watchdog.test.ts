import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWatchdog } from '../../src/cluster/watchdog.ts';

const silenceMs = 30_000;

/** Checks every second from `from` to `to`, as the primary does, and returns what the last check found. */
function watch<Worker extends { readonly state: string; readonly heardAt: number }>(
  watchdog: ReturnType<typeof createWatchdog<Worker>>,
  workers: readonly Worker[],
  from: number,
  to: number,
): Worker[] {
  let found: Worker[] = [];
  for (let now = from; now <= to; now += 1_000) found = watchdog.check(workers, now, silenceMs);
  return found;
}

test('a worker that has said nothing for longer than it may is found, and only then', () => {
  const worker = { state: 'ready', heardAt: 0 };
  const watchdog = createWatchdog();
  assert.deepEqual(watch(watchdog, [worker], 0, 30_000), []);
  assert.deepEqual(watch(watchdog, [worker], 31_000, 31_000), [worker]);
});

test('one that speaks now and then is left alone', () => {
  const watchdog = createWatchdog();
  watch(watchdog, [{ state: 'ready', heardAt: 0 }], 0, 29_000);
  assert.deepEqual(watch(watchdog, [{ state: 'ready', heardAt: 29_500 }], 30_000, 59_000), []);
});

test('one that is starting has another deadline, and one that was killed needs no second shot', () => {
  for (const state of ['starting', 'killed', 'ended']) {
    assert.deepEqual(watch(createWatchdog(), [{ state, heardAt: 0 }], 0, 90_000), []);
  }
  const draining = { state: 'draining', heardAt: 0 };
  assert.deepEqual(watch(createWatchdog(), [draining], 0, 90_000), [draining]);
});

test('a primary that was stopped itself blames nobody, and counts anew', () => {
  const worker = { state: 'ready', heardAt: 0 };
  const watchdog = createWatchdog();
  watch(watchdog, [worker], 0, 2_000);
  assert.deepEqual(watch(watchdog, [worker], 100_000, 130_000), []);
  assert.deepEqual(watch(watchdog, [worker], 131_000, 131_000), [worker]);
});
