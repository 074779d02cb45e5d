/**
 * Limits a log line that would otherwise be written thousands of times a second. The returned function is called for
 * each occurrence: it returns undefined where no line is to be written, else the number of occurrences since the last
 * line that were left out.
 */
export function createLogPace(
  everyMs: number,
  now: () => number = () => performance.now(),
): () => number | undefined {
  let writtenAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return () => {
    if (now() - writtenAt < everyMs) {
      leftOut += 1;
      return undefined;
    }
    const before = leftOut;
    writtenAt = now();
    leftOut = 0;
    return before;
  };
}
