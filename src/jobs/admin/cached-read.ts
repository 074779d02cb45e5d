/**
 * A value that costs work, for readers who ask often: however many they are and however much the work grows, doing it
 * takes a small share of the time. It is done again only after a rest of `rest` times as long as it took, and of
 * `minTtlMs` at least; in between everybody gets what was found, or the error that was.
 */

import { withTimeout } from '../../concurrency/with-timeout.ts';

export interface CachedReadOptions {
  /** How old a value may always be, in milliseconds. */
  readonly minTtlMs: number;
  /** The rest after the work, in multiples of how long the work took; 20 by default, which is 5 % of the time. */
  readonly rest?: number;
  /** Milliseconds of a clock that only goes forwards. */
  readonly now?: () => number;
}

export interface CachedRead<Value> {
  /**
   * The value. With the work under way it waits for that `waitMs` at most, and then gives the value before it, or
   * undefined before the first. Rejects with what the last work rejected with.
   */
  read(waitMs: number): Promise<Value | undefined>;
  /** Something has changed: the next reader does not get what was found before. */
  invalidate(): void;
}

type Outcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: unknown };

/** Makes a paced value of `work`, which starts when somebody asks. */
export function cachedRead<Value>(
  work: () => Promise<Value>,
  { minTtlMs, rest = 20, now = () => performance.now() }: CachedReadOptions,
): CachedRead<Value> {
  let latest: Outcome<Value> | undefined;
  let underWay: Promise<void> | undefined;
  let freshUntil = Number.NEGATIVE_INFINITY;
  let changes = 0;

  async function find(): Promise<void> {
    const [startedAt, changesAtStart] = [now(), changes];
    try {
      latest = { ok: true, value: await work() };
    } catch (error) {
      latest = { ok: false, error };
    }
    underWay = undefined;
    const endedAt = now();
    // What changed while the work was done may not be in it.
    if (changes === changesAtStart) freshUntil = endedAt + Math.max(minTtlMs, rest * (endedAt - startedAt));
  }

  return {
    async read(waitMs) {
      if (underWay !== undefined || now() >= freshUntil) {
        underWay ??= find();
        await withTimeout(underWay, waitMs, () => {});
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
