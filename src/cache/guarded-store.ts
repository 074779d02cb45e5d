/**
 * Guards a store that may be away, so that no call waits for it long, or rejects because of it.
 *
 *             an error, or no answer within the deadline
 *      up  ────────────────────────────────────────────────>  down
 *          <────────────────────────────────────────────────
 *             a trial succeeds: after 100 ms, then after twice the time, up to 5 s
 *
 * - up: each operation has the deadline. One that fails is `unavailable`.
 * - down: every operation is `unavailable` immediately, so each call loads its value. One trial at a time first repeats the
 *   invalidations that failed, and then starts a load and releases it, which also finds a store that answers but cannot
 *   write: full, or read-only after a failover.
 *
 * So this process reads no value whose invalidation failed. Processes that reach the store may return it meanwhile, until it
 * expires.
 */

import { runOutsideRequest } from '../observability/request-context.ts';
import { backoffDelay } from '../resilience/retry.ts';
import type { CacheEntry, CacheStore, Invalidation, LoadLease } from './cache-store.ts';

export interface GuardedCacheStoreOptions {
  readonly store: CacheStore;
  /** How long an operation may take, in milliseconds. */
  readonly deadlineMs: number;
  /** Called at every change of the state; `error` is the reason of a change to down. */
  readonly onChange: (state: 'up' | 'down', error?: unknown) => void;
  /** Called after each operation with its duration in seconds. */
  readonly onCall: (seconds: number) => void;
}

export interface GuardedCacheStore extends CacheStore {
  state(): 'up' | 'down';
  /** Stops trials. Idempotent. */
  stop(): void;
}

interface Bounds<T> {
  /** The deadline, in milliseconds. */
  readonly withinMs?: number;
  /** Called with a result that came after the deadline. */
  readonly onLate?: (result: T) => void;
}

/** The deadline of storing a loaded value, in milliseconds: no call waits for it. */
const afterLoadMs = 1_000;
const trialBackoff = { baseMs: 100, maxMs: 5_000 };
const trialEntry: CacheEntry = { key: 'trial', tags: [] };
/** The maximum number of keys, and of tags, whose invalidation is repeated. */
const maxPending = 10_000;
const unavailable = { kind: 'unavailable' } as const;

export function createGuardedCacheStore(options: GuardedCacheStoreOptions): GuardedCacheStore {
  const { store, deadlineMs, onChange, onCall } = options;
  let state: 'up' | 'down' = 'up';
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  /** Invalidations that failed. The store is down until they have been repeated. */
  let pending = createNames();

  /** Resolves with the result of the operation, or with `otherwise` if it fails or is late. */
  function attempt<T>(operation: () => T | Promise<T>, otherwise: T, bounds: Bounds<T> = {}): Promise<T> {
    if (state === 'down') return Promise.resolve(otherwise);
    return new Promise((resolve) => {
      bounded(
        operation,
        resolve,
        (error) => {
          enterDown(error);
          resolve(otherwise);
        },
        bounds,
      );
    });
  }

  function bounded<T>(
    operation: () => T | Promise<T>,
    succeed: (result: T) => void,
    fail: (error: unknown) => void,
    { withinMs = deadlineMs, onLate }: Bounds<T> = {},
  ): void {
    const startedAt = performance.now();
    let isDone = false;
    const finish = <V>(settle: (value: V) => void, value: V) => {
      if (isDone) return;
      isDone = true;
      clearTimeout(deadline);
      onCall((performance.now() - startedAt) / 1000);
      settle(value);
    };
    const late = () => finish(fail, new Error(`No answer within ${withinMs} ms.`));
    // If this process was blocked, the answer may be unread: it is read before the callback of setImmediate.
    const deadline = setTimeout(() => setImmediate(late), withinMs);
    Promise.resolve(operation()).then(
      (result) => (isDone ? onLate?.(result) : finish(succeed, result)),
      (error: unknown) => finish(fail, error),
    );
  }

  function enterDown(error: unknown): void {
    if (state === 'down') return;
    state = 'down';
    failures = 0;
    onChange('down', error);
    // The trials belong to no request, although one of them found the failure.
    runOutsideRequest(scheduleTrial);
  }

  function scheduleTrial(): void {
    if (isStopped) return;
    failures += 1;
    const pauseMs = backoffDelay(failures, trialBackoff, () => 0.5 + Math.random() / 2);
    timer = setTimeout(tryStore, pauseMs).unref();
  }

  function tryStore(): void {
    const repeated = { keys: [...pending.keys], tags: [...pending.tags] };
    pending = createNames();
    bounded(
      async () => {
        await store.invalidate(repeated);
        const start = await store.startLoad(trialEntry, { replaces: true });
        if (start.kind === 'lease') await start.lease.release();
      },
      () => {
        if (isStopped) return;
        // Invalidations that failed during the trial need another one.
        if (pending.keys.size + pending.tags.size > 0) return scheduleTrial();
        state = 'up';
        onChange('up');
      },
      () => {
        remember(repeated);
        scheduleTrial();
      },
    );
  }

  function remember({ keys, tags }: Invalidation): void {
    for (const key of keys) addBounded(pending.keys, key);
    for (const tag of tags) addBounded(pending.tags, tag);
  }

  const guardLease = (lease: LoadLease): LoadLease => ({
    async store(payload) {
      if (state === 'up') return attempt(() => lease.store(payload), false, { withinMs: afterLoadMs });
      endUnused(lease);
      return false;
    },
    release: async () => endUnused(lease),
  });

  return {
    isShared: store.isShared,

    read(entry) {
      return state === 'down' ? unavailable : attempt(() => store.read(entry), unavailable);
    },

    async startLoad(entry, startOptions) {
      const start = await attempt(() => store.startLoad(entry, startOptions), unavailable, {
        onLate: (late) => late.kind === 'lease' && endUnused(late.lease),
      });
      return start.kind === 'lease' ? { kind: 'lease', lease: guardLease(start.lease) } : start;
    },

    async invalidate(invalidation) {
      const isDone = await attempt(async () => {
        await store.invalidate(invalidation);
        return true;
      }, false);
      if (!isDone) remember(invalidation);
    },

    state: () => state,
    stop() {
      isStopped = true;
      state = 'down';
      clearTimeout(timer);
    },
  };
}

/** Ends a lease, so that others need not wait until it expires. A store that is away ends it by its expiry. */
function endUnused(lease: LoadLease): void {
  Promise.resolve(lease.release()).catch(() => {});
}

function createNames(): { readonly keys: Set<string>; readonly tags: Set<string> } {
  return { keys: new Set(), tags: new Set() };
}

function addBounded(names: Set<string>, name: string): void {
  names.add(name);
  if (names.size <= maxPending) return;
  const [oldest] = names;
  if (oldest !== undefined) names.delete(oldest);
}
