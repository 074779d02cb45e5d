/** How delays between attempts grow. */
export interface Backoff {
  /** The delay after the first failed attempt, in milliseconds. */
  readonly baseMs: number;
  /** The maximum delay, in milliseconds. */
  readonly maxMs: number;
}

/** Returns the milliseconds to wait after failed attempt number `attempt`, counted from 1: doubled after each failure. */
export function exponentialDelay(attempt: number, { baseMs, maxMs }: Backoff): number {
  return Math.min(maxMs, baseMs * 2 ** (attempt - 1));
}

/**
 * Returns the same with full jitter: a delay between 0 and the exponential one, so that callers that failed together do not
 * retry together. `random` returns a number from 0 to below 1, as `Math.random` does.
 */
export function backoffDelay(attempt: number, backoff: Backoff, random: () => number): number {
  return Math.round(random() * exponentialDelay(attempt, backoff));
}
