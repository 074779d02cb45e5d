import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInterruptibleSleep } from '../../src/concurrency/interruptible-sleep.ts';

const never = 3_600_000;

test('wake() interrupts the current sleep', async () => {
  const sleep = createInterruptibleSleep();
  const slept = sleep.for(never);
  sleep.wake();
  await slept;
});

test('a sleep lasts for the shortest time that wakeWithin() was called with', async () => {
  const sleep = createInterruptibleSleep();
  const slept = sleep.for(never);
  const startedAt = performance.now();
  sleep.wakeWithin(30);
  sleep.wakeWithin(never);
  await slept;
  assert.ok(performance.now() - startedAt > 25);
});

test('wake() without a current sleep interrupts the next sleep, and only that one', async () => {
  const sleep = createInterruptibleSleep();
  sleep.wake();
  await sleep.for(never);
  const startedAt = performance.now();
  await sleep.for(30);
  assert.ok(performance.now() - startedAt > 25);
});

test('a second sleeper wakes the first, so that both sleeps end', async () => {
  const sleep = createInterruptibleSleep();
  const first = sleep.for(never);
  const second = sleep.for(30);
  await first;
  await second;
});
