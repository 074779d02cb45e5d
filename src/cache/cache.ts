/**
 * The cache: keeps what a function has loaded, so that the next call need not load it again.
 *
 *     const popular = cache.cached({
 *       name: 'posts.popular',
 *       key: (tag: string) => tag,
 *       tags: (tag) => [`tag:${tag}`],
 *       ttl: 60,
 *       staleWhileRevalidate: 300,
 *       schema: z.array(listedPost),
 *     })((tag) => loadPopular(tag));
 *
 *     await popular('node');              // loads at most once a minute
 *     await popular.invalidate('node');   // after the commit of a change
 *     await cache.invalidate('tag:node');
 *
 * Guarantees (docs/cache.md has the table of failures):
 *
 * - A cache that fails or is slow is a miss. A call rejects only if its load rejects.
 * - A call that begins after `invalidate` has resolved does not return a value whose load began before it. With values in
 *   memory, other workers apply an invalidation some milliseconds later.
 * - A value is never returned after `ttl` plus `staleWhileRevalidate`.
 * - Concurrent calls of one process share one load, those of the workers of a node too, and with Redis those of all nodes.
 *
 * `cached-function.ts` has the states of a value.
 */

import type * as z from 'zod';
import type { Logger } from '../observability/logger.ts';
import { boundNames } from './bound-name.ts';
import type { CallMetrics } from './cache-metrics.ts';
import type { CacheStore } from './cache-store.ts';
import { createCachedFunction, type TrackedFunction } from './cached-function.ts';
import { assertCachedOptions, type CachedOptions } from './cached-options.ts';
import { type InvalidationBus, maxNames } from './invalidation-bus.ts';

export interface CachedFunction<Args extends readonly unknown[], Value> {
  /** Returns the cached value, or loads it. Callers share the value, so it is frozen. Rejects as the load does. */
  (...args: Args): Promise<Value>;
  /** Removes the value of these arguments. Call it after the commit of a change. Never rejects. */
  invalidate(...args: Args): Promise<void>;
}

/** Adds the cache to a load function. */
export type AddCache<Args extends readonly unknown[], Schema extends z.ZodType> = <
  Loaded extends z.input<Schema> | undefined,
>(
  load: (...args: Args) => Promise<Loaded>,
) => CachedFunction<Args, z.output<Schema> | Extract<Loaded, undefined>>;

export interface Cache {
  /** Throws a RangeError for invalid options. */
  cached<Args extends readonly unknown[] = [], Schema extends z.ZodType = z.ZodType>(
    options: CachedOptions<Args, Schema>,
  ): AddCache<Args, Schema>;
  /** Removes all values with any of these tags. Call it after the commit of a change. Never rejects. */
  invalidate(...tags: string[]): Promise<void>;
}

export interface CacheOptions {
  readonly store: CacheStore;
  /** Reaches the other processes. */
  readonly bus: InvalidationBus;
  readonly metrics: CallMetrics;
  readonly log: Logger;
}

export function createCache({ store, bus, metrics, log }: CacheOptions): Cache {
  const functions = new Map<string, TrackedFunction>();

  async function invalidate(keys: readonly string[], tags: readonly string[]): Promise<void> {
    const invalidation = { keys, tags };
    const done = store.invalidate(invalidation);
    // A store in memory is done already. Without a pause, no call can join the load of another worker before the primary
    // knows that its value is invalid.
    if (done instanceof Promise) await done;
    // Afterwards, because a call in the meantime may have read the old value.
    for (const each of functions.values()) each.forget(invalidation);
    for (let at = 0; at < Math.max(keys.length, tags.length); at += maxNames) {
      bus.publish({ keys: keys.slice(at, at + maxNames), tags: tags.slice(at, at + maxNames) });
    }
  }

  bus.subscribe((invalidation) => {
    if (!store.isShared) void store.invalidate(invalidation);
    for (const each of functions.values()) each.forget(invalidation);
  });

  return {
    cached<Args extends readonly unknown[], Schema extends z.ZodType>(
      options: CachedOptions<Args, Schema>,
    ): AddCache<Args, Schema> {
      return <Loaded extends z.input<Schema> | undefined>(load: (...args: Args) => Promise<Loaded>) => {
        assertCachedOptions(options);
        const { name } = options;
        if (functions.has(name)) throw new RangeError(`There are two caches named ${name}.`);
        const tracked = createCachedFunction({ options, load, store, metrics: metrics.of(name), log });
        functions.set(name, tracked);
        return Object.assign(tracked.call, {
          invalidate: (...args: Args) => invalidate([tracked.keyOf(...args)], []),
        });
      };
    },
    invalidate: (...tags) => invalidate([], boundNames(tags)),
  };
}
