/**
 * How long to wait before the next attempt: exponential backoff with full jitter. The delay is drawn evenly between
 * nothing and a ceiling that doubles with each attempt, so that callers who failed together do not return together.
 */
export interface Backoff {
  /** The ceiling before the second attempt, in milliseconds. */
  readonly baseMs: number;
  /** What the ceiling never exceeds, in milliseconds. */
  readonly maxMs: number;
}

/**
 * Milliseconds to wait after the failed attempt number `attempt`, counted from 1. `random` gives a number from 0
 * to below 1, as `Math.random` does.
 */
export function backoffDelay(attempt: number, { baseMs, maxMs }: Backoff, random: () => number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** (attempt - 1));
  return Math.round(random() * ceiling);
}
