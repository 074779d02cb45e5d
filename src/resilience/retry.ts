/**
 * Exponential backoff with full jitter. The delay is drawn uniformly between 0 and a ceiling that doubles with each attempt,
 * so that callers that failed at the same time do not retry at the same time.
 */
export interface Backoff {
  /** The ceiling before the second attempt, in milliseconds. */
  readonly baseMs: number;
  /** The maximum of the ceiling, in milliseconds. */
  readonly maxMs: number;
}

/**
 * Returns the milliseconds to wait after failed attempt number `attempt`, counted from 1. `random` returns a number from 0
 * up to but excluding 1, like `Math.random`.
 */
export function backoffDelay(attempt: number, { baseMs, maxMs }: Backoff, random: () => number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** (attempt - 1));
  return Math.round(random() * ceiling);
}
