import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHeartbeatCheck, type Monitored } from '../../src/cluster/watchdog.ts';

const heartbeatTimeoutMs = 30_000;

/** Checks every second from `from` to `to`, as a supervisor does, and returns the result of the last check. */
function checkEverySecond<Process extends Monitored>(
  check: ReturnType<typeof createHeartbeatCheck<Process>>,
  processes: readonly Process[],
  from: number,
  to: number,
): Process[] {
  let found: Process[] = [];
  for (let now = from; now <= to; now += 1_000) found = check(processes, now, heartbeatTimeoutMs);
  return found;
}

test('a process is found when its last heartbeat is older than the timeout, and not before', () => {
  const worker = { state: 'ready', lastHeartbeatAt: 0 };
  const check = createHeartbeatCheck();
  assert.deepEqual(checkEverySecond(check, [worker], 0, 30_000), []);
  assert.deepEqual(checkEverySecond(check, [worker], 31_000, 31_000), [worker]);
});

test('a process that sends a heartbeat within the timeout is not found', () => {
  const check = createHeartbeatCheck();
  checkEverySecond(check, [{ state: 'ready', lastHeartbeatAt: 0 }], 0, 29_000);
  const worker = { state: 'ready', lastHeartbeatAt: 29_500 };
  assert.deepEqual(checkEverySecond(check, [worker], 30_000, 59_000), []);
});

test('a draining process is checked; a starting, killed or ended one is not', () => {
  for (const state of ['starting', 'killed', 'ended']) {
    const worker = { state, lastHeartbeatAt: 0 };
    assert.deepEqual(checkEverySecond(createHeartbeatCheck(), [worker], 0, 90_000), []);
  }
  const draining = { state: 'draining', lastHeartbeatAt: 0 };
  assert.deepEqual(checkEverySecond(createHeartbeatCheck(), [draining], 0, 90_000), [draining]);
});

test('a supervisor that was stopped itself restarts the timeouts of all processes', () => {
  const worker = { state: 'ready', lastHeartbeatAt: 0 };
  const check = createHeartbeatCheck();
  checkEverySecond(check, [worker], 0, 2_000);
  assert.deepEqual(checkEverySecond(check, [worker], 100_000, 130_000), []);
  assert.deepEqual(checkEverySecond(check, [worker], 131_000, 131_000), [worker]);
});
