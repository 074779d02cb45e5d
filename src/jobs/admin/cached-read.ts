/**
 * Caches the result of an expensive read for frequent readers. The read runs for at most a small share of the time, which depends
 * neither on the number of readers nor on its cost: the result is kept for `restFactor` times the duration of the read, and for
 * at least `minTtlMs`. Until then every reader gets the cached value, or the error of the read.
 */

import { withTimeout } from '../../concurrency/with-timeout.ts';

export interface CachedReadOptions {
  /** Minimum time to live of a value, in milliseconds. */
  readonly minTtlMs: number;
  /** Time to live as a multiple of the duration of the read. By default 20, so that reading takes 5 % of the time. */
  readonly restFactor?: number;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

export interface CachedRead<Value> {
  /**
   * Returns the cached value, or reads it. Waits for a read at most `waitMs`, then returns the previous value, or
   * undefined if there is none. Rejects with the error of the last read.
   */
  read(waitMs: number): Promise<Value | undefined>;
  /** Discards the cached value after a change, so that the next reader triggers a new read. */
  invalidate(): void;
}

type Outcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: unknown };

/** Creates a cached read of `load`, which runs only when a reader asks. */
export function cachedRead<Value>(
  load: () => Promise<Value>,
  { minTtlMs, restFactor = 20, now = () => performance.now() }: CachedReadOptions,
): CachedRead<Value> {
  let latest: Outcome<Value> | undefined;
  let refreshing: Promise<void> | undefined;
  let freshUntil = Number.NEGATIVE_INFINITY;
  let changes = 0;

  async function refresh(): Promise<void> {
    const [startedAt, changesAtStart] = [now(), changes];
    try {
      latest = { ok: true, value: await load() };
    } catch (error) {
      latest = { ok: false, error };
    }
    refreshing = undefined;
    const endedAt = now();
    // A change during the read may not be part of its result.
    if (changes === changesAtStart)
      freshUntil = endedAt + Math.max(minTtlMs, restFactor * (endedAt - startedAt));
  }

  return {
    async read(waitMs) {
      if (refreshing !== undefined || now() >= freshUntil) {
        refreshing ??= refresh();
        await withTimeout(refreshing, waitMs, () => {});
      }
      if (latest?.ok === false) throw latest.error;
      return latest?.value;
    },
    invalidate() {
      changes += 1;
      freshUntil = Number.NEGATIVE_INFINITY;
    },
  };
}
