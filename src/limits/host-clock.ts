/**
 * Makes a clock that all processes of this host agree on: milliseconds since some fixed moment, running evenly and
 * never backwards (CLOCK_MONOTONIC on Linux). `performance.now()` is the same clock counted from the start of the
 * process; the difference is found once, since reading it by `process.hrtime` costs more with each call.
 *
 * Of several readings the one whose two halves were nearest together is taken: a pause in between would set this
 * process apart from the others.
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
