/**
 * Creates a throttle for a log line that could otherwise be written thousands of times per second. Call the returned
 * function for each occurrence: it returns undefined if no line should be written, else the number of occurrences that were
 * suppressed since the last line.
 */
export function createLogThrottle(
  everyMs: number,
  now: () => number = () => performance.now(),
): () => number | undefined {
  let writtenAt = Number.NEGATIVE_INFINITY;
  let suppressed = 0;
  return () => {
    if (now() - writtenAt < everyMs) {
      suppressed += 1;
      return undefined;
    }
    const count = suppressed;
    writtenAt = now();
    suppressed = 0;
    return count;
  };
}
