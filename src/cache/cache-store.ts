/**
 * Where cached values are kept: in memory (`memory-store.ts`; `worker-store.ts` with several workers), or in Redis
 * (`redis-store.ts`). A store knows keys, tags and times, and nothing of the functions that load the values.
 *
 * A value is written only through a lease, which `startLoad` returns before the load begins. An invalidation revokes the leases
 * of the key or tag, so that a value that was loaded before it is never stored after it:
 *
 *     startLoad ──> lease ──> load ──> lease.store       stored
 *                     │                    │
 *                     └── invalidate ──────┴──>          not stored, because the value may be older
 *
 * A store that is away rejects or is late. `guarded-store.ts` turns both into `unavailable`.
 */

/** The key and the tags of a value. */
export interface CacheEntry {
  readonly key: string;
  /** The invalidation of any of these tags invalidates the value. */
  readonly tags: readonly string[];
}

/** Names of values: each key, and all values with any of the tags. */
export interface Invalidation {
  readonly keys: readonly string[];
  readonly tags: readonly string[];
}

/** A stored value: itself from memory, or its text from Redis. `isStale` if it should be loaded again. */
export type StoredValue =
  | { readonly kind: 'value'; readonly value: unknown; readonly isStale: boolean }
  | { readonly kind: 'text'; readonly text: string; readonly isStale: boolean };

/**
 * `miss`: there is no value. `loading` is the name of the lease of a load in progress, if a shared store has one that no
 * invalidation has revoked. `unavailable`: the store cannot be asked now, so the value is loaded and not stored.
 */
export type CacheRead =
  | StoredValue
  | { readonly kind: 'miss'; readonly loading?: string | undefined }
  | { readonly kind: 'unavailable' };

/**
 * The text of a value that another worker has just loaded. The text is not in the store: `keep` stores the value that was
 * read from it, unless it was invalidated meanwhile.
 */
export interface ReceivedValue {
  readonly kind: 'received';
  readonly text: string;
  keep(value: unknown): void;
}

/** `busy`: another process is loading the value now. A value: another process has just stored or sent it. */
export type LoadStart =
  | { readonly kind: 'lease'; readonly lease: LoadLease }
  | { readonly kind: 'busy' }
  | { readonly kind: 'unavailable' }
  | ReceivedValue
  | StoredValue;

/** A value as it is stored. */
export interface CachePayload {
  readonly text: string;
  readonly value: unknown;
  /** How long it is fresh, in milliseconds. */
  readonly freshMs: number;
  /** How long it may be used after that while it is loaded again, in milliseconds. */
  readonly staleMs: number;
}

/** The right to store the value of one load. */
export interface LoadLease {
  /** In a shared store, the name that a `miss` has in `loading` while the lease is valid. */
  readonly name?: string;
  /** Stores the value and releases the lease. Returns false if the lease was lost to an invalidation, or the value is too large. */
  store(payload: CachePayload): boolean | Promise<boolean>;
  /** Ends the lease of a load without a value, so that another process can load at once. */
  release(): void | Promise<void>;
}

export interface CacheStore {
  /** Whether several processes use the same values, so that an invalidation here is one for all of them. */
  readonly isShared: boolean;
  read(entry: CacheEntry): CacheRead | Promise<CacheRead>;
  /** Starts a load, unless there is a fresh value. `replaces`: also if there is one, because it cannot be used. */
  startLoad(entry: CacheEntry, options: { readonly replaces: boolean }): LoadStart | Promise<LoadStart>;
  /** Removes the values, and revokes the leases of loads that began before. */
  invalidate(invalidation: Invalidation): void | Promise<void>;
}
