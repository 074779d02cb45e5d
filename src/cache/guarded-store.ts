/**
 * Guards a store that may be away, so that no call waits for it long, or rejects because of it.
 *
 *      the circuit     an error, or no answer within the deadline
 *      is closed  ────────────────────────────────────────────────>  is open
 *                 <────────────────────────────────────────────────
 *                      a probe succeeds: after 100 ms, then after twice the time, up to 5 s
 *
 * - closed: each operation has the deadline. One that fails is `unavailable`.
 * - open: every operation is `unavailable` immediately, so each call loads its value. One probe at a time first repeats the
 *   invalidations that failed, and then starts a load and releases it, which also finds a store that answers but cannot
 *   write: full, or read-only after a failover.
 *
 * So this process reads no value whose invalidation failed. Processes that reach the store may return it meanwhile, until it
 * expires.
 */

import type { CreateProbedCircuit } from '../observability/probed-circuit.ts';
import type { CacheEntry, CacheStore, Invalidation, LoadLease } from './cache-store.ts';

export interface GuardedCacheStoreOptions {
  readonly store: CacheStore;
  /** How long an operation may take, in milliseconds. */
  readonly deadlineMs: number;
  readonly createCircuit: CreateProbedCircuit;
  /** Called after each operation with its duration in seconds. */
  readonly onCall: (seconds: number) => void;
}

export interface GuardedCacheStore extends CacheStore {
  /** Whether the store is used. */
  isUp(): boolean;
  /** Stops probes, and the use of the store. Idempotent. */
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
const probeEntry: CacheEntry = { key: 'probe', tags: [] };
/** The maximum number of keys, and of tags, whose invalidation is repeated. */
const maxPending = 10_000;
const unavailable = { kind: 'unavailable' } as const;

export function createGuardedCacheStore(options: GuardedCacheStoreOptions): GuardedCacheStore {
  const { store, deadlineMs, createCircuit, onCall } = options;
  const circuit = createCircuit(probe);
  /** Invalidations that failed. The circuit stays open until they have been repeated. */
  let pending = createNames();

  /** Resolves with the result of the operation, or with `otherwise` if it fails or is late. */
  function attempt<T>(operation: () => T | Promise<T>, otherwise: T, bounds: Bounds<T> = {}): Promise<T> {
    if (circuit.isOpen()) {
      circuit.countRejection();
      return Promise.resolve(otherwise);
    }
    return new Promise((resolve) => {
      bounded(
        operation,
        resolve,
        (error) => {
          circuit.open(error);
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

  function probe(): Promise<void> {
    const repeated = { keys: [...pending.keys], tags: [...pending.tags] };
    pending = createNames();
    return new Promise((resolve, reject) => {
      bounded(
        async () => {
          await store.invalidate(repeated);
          const start = await store.startLoad(probeEntry, { replaces: true });
          if (start.kind === 'lease') await start.lease.release();
        },
        () => {
          if (pending.keys.size + pending.tags.size === 0) resolve();
          else reject(new Error('Invalidations that failed during the probe need another one.'));
        },
        (error) => {
          remember(repeated);
          reject(error);
        },
      );
    });
  }

  function remember({ keys, tags }: Invalidation): void {
    for (const key of keys) addBounded(pending.keys, key);
    for (const tag of tags) addBounded(pending.tags, tag);
  }

  const guardLease = (lease: LoadLease): LoadLease => ({
    async store(payload) {
      if (!circuit.isOpen()) return attempt(() => lease.store(payload), false, { withinMs: afterLoadMs });
      endUnused(lease);
      return false;
    },
    release: async () => endUnused(lease),
  });

  return {
    isShared: store.isShared,

    read(entry) {
      return attempt(() => store.read(entry), unavailable);
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

    isUp: () => !circuit.isOpen(),
    stop: circuit.stop,
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
