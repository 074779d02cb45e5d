/**
 * The thread that wakes the open loop when a request is due. It sleeps in between, to a fraction of a millisecond: a timer of
 * the event loop may come a whole one late, and a loop that watches the clock takes the processor from those that share it.
 */

import { parentPort, workerData } from 'node:worker_threads';

const { rate, count } = workerData;

/** It is never written to. */
const forever = new Int32Array(new SharedArrayBuffer(4));

const startedAt = now();
for (let beat = 0; beat < count; beat += 1) {
  const due = startedAt + (beat * 1000) / rate;
  const left = due - now();
  if (left > 0) Atomics.wait(forever, 0, 0, left);
  parentPort.postMessage(due);
}

/** As the clock of the host (src/limits/host-clock.ts), which this thread, being no TypeScript, cannot load. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}
