import type * as z from 'zod';

/** How the values of one function are cached. Times are in seconds. */
export interface CachedOptions<Args extends readonly unknown[], Schema extends z.ZodType> {
  /** Names the values in metrics and in the store: `posts.popular`. Unique in the program. */
  readonly name: string;
  /** Distinguishes the values by the arguments. Without it, there is one value. */
  readonly key?: (...args: Args) => string;
  /** How long a value is fresh. The real time is up to 10 % shorter, so that values loaded together expire one by one. */
  readonly ttl: number;
  /** How long after that a call still gets the value, while one load in the background renews it. Default 0. */
  readonly staleWhileRevalidate?: number;
  /** How long `undefined` is cached, which means that the value does not exist. Default 0: it is not cached. */
  readonly negative?: number;
  /** Names by which values are invalidated together, such as the rows that a value contains. */
  readonly tags?: (...args: Args) => readonly string[];
  /** Reads the value from its JSON, so a date needs `z.coerce.date()`. A stored value that does not fit is a miss. */
  readonly schema: Schema;
  /** Increase it if a release gives the same form another meaning: releases ignore values of other versions. Default 1. */
  readonly version?: number;
}

/** The longest time that a value may be kept, in seconds: a week. */
const maxSeconds = 604_800;

/** Throws a RangeError for invalid options. */
export function assertCachedOptions({
  name,
  ttl,
  staleWhileRevalidate = 0,
  negative = 0,
}: Pick<CachedOptions<[], z.ZodType>, 'name' | 'ttl' | 'staleWhileRevalidate' | 'negative'>): void {
  if (!/^[a-z][a-z0-9_.-]{0,63}$/.test(name)) {
    throw new RangeError(`The name of a cache has a-z, 0-9, and the characters _ . -: not "${name}".`);
  }
  const times = [ttl, staleWhileRevalidate, negative];
  if (
    ttl <= 0 ||
    times.some((each) => !(each >= 0)) ||
    Math.max(ttl, negative) + staleWhileRevalidate > maxSeconds
  ) {
    throw new RangeError(
      `The cache ${name} needs a ttl above 0, no negative times, and at most ${maxSeconds} seconds together.`,
    );
  }
}
