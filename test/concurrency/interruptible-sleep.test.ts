import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAlarm } from '../../src/concurrency/interruptible-sleep.ts';

const never = 3_600_000;

test('a wait ends when somebody rings', async () => {
  const alarm = createAlarm();
  const waited = alarm.wait(never);
  alarm.ring();
  await waited;
});

test('a wait ends at the earliest moment that somebody asked for', async () => {
  const alarm = createAlarm();
  const waited = alarm.wait(never);
  const begunAt = performance.now();
  alarm.within(30);
  alarm.within(never);
  await waited;
  assert.ok(performance.now() - begunAt > 25);
});

test('what was asked for while nobody waited ends the next wait, and no other', async () => {
  const alarm = createAlarm();
  alarm.ring();
  await alarm.wait(never);
  const begunAt = performance.now();
  await alarm.wait(30);
  assert.ok(performance.now() - begunAt > 25);
});
