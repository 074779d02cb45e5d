/**
 * One cached function: what a call does in each state of its value.
 *
 *                 call: loads              call                        call: returns it, and loads
 *     absent ───────────────────> fresh ────────> (returns it)   stale ─────────────────────────> fresh
 *        ^                          │   ttl passes                 ^ │
 *        │                          └──────────────────────────────┘ │
 *        └─── invalidated, staleWhileRevalidate passes, evicted ─────┘
 *
 * A flight is a load in progress, which later calls with the same key join. Invariants:
 *
 * 1. Per key there is at most one flight that calls can join, and at most one refresh of a stale value.
 * 2. An invalidation removes the flight. Calls that joined it before get its value; later calls start a new one. With a shared
 *    store, the message of an invalidation by another process may come later or never. So each call reads the store, and joins
 *    only the flight of a lease that the store has found valid, or one that has no lease yet: its load begins after the call.
 * 3. A load stores its value only through the lease that it got before it began (`cache-store.ts`), so a value that was
 *    loaded before an invalidation is never stored after it.
 * 4. A flight is joined for at most 30 s, so that a load that hangs does not block its key.
 *
 * A load belongs to no request: it continues when the client of the call that started it disconnects.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type * as z from 'zod';
import type { Logger } from '../observability/logger.ts';
import { runBeyondRequest } from '../observability/request-context.ts';
import { boundName, boundNames } from './bound-name.ts';
import type { FunctionMetrics } from './cache-metrics.ts';
import type {
  CacheEntry,
  CacheRead,
  CacheStore,
  Invalidation,
  LoadLease,
  LoadStart,
  ReceivedValue,
  StoredValue,
} from './cache-store.ts';
import type { CachedOptions } from './cached-options.ts';
import { createValueCodec, type Decoded } from './value-codec.ts';

export interface TrackedFunction {
  /** Ends the flights and refreshes of these values: later calls do not join them. */
  forget(invalidation: Invalidation): void;
}

interface CreatedFunction<Args extends readonly unknown[], Value> extends TrackedFunction {
  readonly call: (...args: Args) => Promise<Value>;
  keyOf(...args: Args): string;
}

interface CachedFunctionParts<Args extends readonly unknown[], Schema extends z.ZodType, Loaded> {
  readonly options: CachedOptions<Args, Schema>;
  readonly load: (...args: Args) => Promise<Loaded>;
  readonly store: CacheStore;
  readonly metrics: FunctionMetrics;
  readonly log: Logger;
}

interface Flight<Value> {
  readonly entry: CacheEntry;
  readonly startedAt: number;
  readonly progress: LoadProgress;
  readonly answer: Promise<Value>;
}

interface LoadProgress {
  /** The name of the lease of the load; undefined while it has none yet, and null for a load without a lease. */
  lease: string | null | undefined;
}

/** How long calls join a flight, and how long one process waits for the load of another. */
export const maxFlightMs = 30_000;
/** The pauses between the questions whether another process has loaded the value. */
const poll = { firstMs: 5, maxMs: 50, growth: 1.5 };
const jitter = 0.1;
const noTags: readonly string[] = [];

export function createCachedFunction<Args extends readonly unknown[], Schema extends z.ZodType, Loaded>({
  options,
  load,
  store,
  metrics,
  log,
}: CachedFunctionParts<Args, Schema, Loaded>): CreatedFunction<
  Args,
  z.output<Schema> | Extract<Loaded, undefined>
> {
  type Value = z.output<Schema> | Extract<Loaded, undefined>;
  const { name, key = () => '', tags, ttl, staleWhileRevalidate = 0, negative = 0 } = options;
  const codec = createValueCodec<Value>(options.schema, options.version ?? 1);
  const flights = new Map<string, Flight<Value>>();
  const refreshes = new Map<string, CacheEntry>();

  const keyOf = (...args: Args) => {
    const own = key(...args);
    return own === '' ? name : `${name}:${boundName(own)}`;
  };

  function call(...args: Args): Promise<Value> {
    const entryKey = keyOf(...args);
    const flight = store.isShared ? undefined : flightOf(entryKey);
    if (flight !== undefined) {
      metrics.joined.add();
      return flight.answer;
    }
    const entry = { key: entryKey, tags: tags === undefined ? noTags : boundNames(tags(...args)) };
    const found = store.read(entry);
    if (found instanceof Promise) return found.then((read) => answerShared(read, entry, args));
    const known = use(found, entry, args);
    return known === undefined ? startFlight(entry, args, found) : Promise.resolve(known.value);
  }

  function answerShared(read: CacheRead, entry: CacheEntry, args: Args): Value | Promise<Value> {
    const flight = flightOf(entry.key);
    if (flight !== undefined && mayJoin(flight, read)) {
      metrics.joined.add();
      return flight.answer;
    }
    const known = use(read, entry, args);
    return known === undefined ? startFlight(entry, args, read) : known.value;
  }

  function flightOf(entryKey: string): Flight<Value> | undefined {
    const flight = flights.get(entryKey);
    return flight !== undefined && performance.now() - flight.startedAt < maxFlightMs ? flight : undefined;
  }

  /** Loads the value in a flight that later calls can join. */
  function startFlight(entry: CacheEntry, args: Args, read: CacheRead): Promise<Value> {
    const progress: LoadProgress = { lease: undefined };
    const answer = runBeyondRequest(() => obtain(entry, args, read, progress));
    const flight: Flight<Value> = { entry, startedAt: performance.now(), progress, answer };
    flights.set(entry.key, flight);
    const end = () => {
      if (flights.get(entry.key) === flight) flights.delete(entry.key);
    };
    answer.then(end, end);
    return answer;
  }

  /** Returns the value that was read; undefined if there is none. Starts a refresh of a stale one. */
  function use(found: CacheRead, entry: CacheEntry, args: Args): Decoded<Value> | undefined {
    if (found.kind === 'miss' || found.kind === 'unavailable') {
      metrics[found.kind].add();
      return undefined;
    }
    const known = decode(found);
    if (known === undefined) {
      metrics.invalid.add();
      return undefined;
    }
    if (found.isStale) refresh(entry, args);
    metrics[found.isStale ? 'stale' : 'hit'].add();
    return known;
  }

  function decode(found: StoredValue): Decoded<Value> | undefined {
    return found.kind === 'text' ? codec.decode(found.text) : (found.value as Decoded<Value>);
  }

  /** Returns the value that another process has loaded. In memory, it is kept also here. */
  function accept(found: StoredValue | ReceivedValue): Decoded<Value> | undefined {
    if (found.kind !== 'received') return decode(found);
    const known = codec.decode(found.text);
    if (known !== undefined) found.keep(known);
    return known;
  }

  /** Loads the value, or waits for the process that loads it now. */
  async function obtain(
    entry: CacheEntry,
    args: Args,
    read: CacheRead,
    progress: LoadProgress,
  ): Promise<Value> {
    const loadUnder = (lease: LoadLease | undefined) => {
      progress.lease = lease === undefined ? null : lease.name;
      return loadWith(lease, args);
    };
    if (read.kind === 'unavailable') return loadUnder(undefined);
    // A value that could be read, but not be used, must not be found again.
    let replaces = read.kind !== 'miss';
    const endAt = performance.now() + maxFlightMs;
    for (let pauseMs = poll.firstMs; ; pauseMs = Math.min(poll.maxMs, pauseMs * poll.growth)) {
      const start: LoadStart = await store.startLoad(entry, { replaces });
      if (start.kind === 'lease') return loadUnder(start.lease);
      if (start.kind === 'unavailable') return loadUnder(undefined);
      if (start.kind !== 'busy') {
        const known = accept(start);
        if (known !== undefined) {
          metrics.awaited.add();
          return known.value;
        }
        replaces = true;
      } else if (performance.now() > endAt) return loadUnder(undefined);
      else await delay(pauseMs);
    }
  }

  async function loadWith(lease: LoadLease | undefined, args: Args): Promise<Value> {
    const startedAt = performance.now();
    let loaded: Loaded;
    try {
      loaded = await load(...args);
    } catch (error) {
      metrics.failed.add();
      void lease?.release();
      throw error;
    } finally {
      metrics.duration.observe((performance.now() - startedAt) / 1000);
    }
    const encoded = codec.encode(loaded);
    if (encoded === undefined) {
      log.error('cache.value_invalid', {
        cache: name,
        advice: 'The loaded value does not fit the schema of its cache, so it is not cached.',
      });
    }
    const seconds = loaded === undefined ? negative : ttl;
    if (encoded === undefined || seconds === 0) {
      metrics.unstored.add();
      void lease?.release();
      return encoded === undefined ? (loaded as Value) : encoded.decoded.value;
    }
    const freshMs = Math.max(1, Math.round(seconds * 1000 * (1 - jitter * Math.random())));
    const staleMs = loaded === undefined ? 0 : staleWhileRevalidate * 1000;
    const stored = lease?.store({ text: encoded.text, value: encoded.decoded, freshMs, staleMs }) ?? false;
    if (stored instanceof Promise) void stored.then(countStored);
    else countStored(stored);
    return encoded.decoded.value;
  }

  function countStored(stored: boolean): void {
    (stored ? metrics.stored : metrics.unstored).add();
  }

  function refresh(entry: CacheEntry, args: Args): void {
    if (refreshes.has(entry.key)) return;
    refreshes.set(entry.key, entry);
    void runBeyondRequest(async () => {
      try {
        const start = await store.startLoad(entry, { replaces: false });
        if (start.kind === 'lease') await loadWith(start.lease, args);
        else if (start.kind === 'received') accept(start);
      } catch (error) {
        log.warning('cache.refresh_failed', { cache: name, error });
      } finally {
        if (refreshes.get(entry.key) === entry) refreshes.delete(entry.key);
      }
    });
  }

  return {
    call,
    keyOf,
    forget({ keys, tags: named }) {
      const matches = (entry: CacheEntry) =>
        keys.includes(entry.key) || entry.tags.some((tag) => named.includes(tag));
      for (const [each, { entry }] of flights) if (matches(entry)) flights.delete(each);
      for (const [each, entry] of refreshes) if (matches(entry)) refreshes.delete(each);
    },
  };
}

/** Whether the load of a flight began, or will begin, after every invalidation that was over when the store was read. */
function mayJoin({ progress: { lease } }: Flight<unknown>, read: CacheRead): boolean {
  if (read.kind === 'unavailable') return true;
  return read.kind === 'miss' && (lease === undefined || (lease !== null && lease === read.loading));
}
