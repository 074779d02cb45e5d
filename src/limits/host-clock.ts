/**
 * Creates a monotonic clock that all processes of this host share: milliseconds since a fixed moment (CLOCK_MONOTONIC on
 * Linux). `performance.now()` is the same clock relative to the start of the process. The offset is measured once, because
 * `process.hrtime` is slower per call.
 *
 * The offset is measured ten times, and the measurement with the shortest duration is used: a pause of the process during
 * the measurement would shift its clock against the other processes.
 */
export function createHostClock(): () => number {
  let offset = 0;
  let narrowest = Number.POSITIVE_INFINITY;
  for (let reading = 0; reading < 10; reading += 1) {
    const before = performance.now();
    const host = Number(process.hrtime.bigint()) / 1e6;
    const after = performance.now();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    offset = host - (before + after) / 2;
  }
  return () => performance.now() + offset;
}
