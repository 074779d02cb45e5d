/**
 * A store in the memory of this process, bounded by bytes. If a value does not fit, the least recently used values are
 * evicted. The size of a value is estimated as two bytes for each character of its text, plus a constant for the entry.
 *
 * Values are kept as they are and not as text, so a hit costs two operations on a Map and no parsing. The texts of the keys
 * and the sets of keys by tag are counted in the constant.
 */

import type {
  CacheEntry,
  CachePayload,
  CacheRead,
  CacheStore,
  Invalidation,
  LoadLease,
  LoadStart,
} from './cache-store.ts';

export interface MemoryCacheStoreOptions {
  readonly maxBytes: number;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  readonly onEviction?: () => void;
}

/** Answers immediately, without a promise. */
export interface MemoryCacheStore extends CacheStore {
  read(entry: CacheEntry): CacheRead;
  startLoad(entry: CacheEntry, options: { readonly replaces: boolean }): LoadStart;
  invalidate(invalidation: Invalidation): void;
  /** The number of values and their estimated bytes. */
  size(): { readonly entries: number; readonly bytes: number };
}

interface Kept {
  readonly entry: CacheEntry;
  readonly value: unknown;
  readonly bytes: number;
  readonly freshUntil: number;
  readonly staleUntil: number;
}

const bytesPerEntry = 300;
/** The share of the memory that one value may take, so that it does not evict most of the others. */
const maxShare = 1 / 8;

const miss = { kind: 'miss' } as const;

export function createMemoryCacheStore(options: MemoryCacheStoreOptions): MemoryCacheStore {
  const { maxBytes, now = () => performance.now(), onEviction = () => {} } = options;
  // In the order of use, so that the least recently used value is first.
  const kept = new Map<string, Kept>();
  const keysByTag = new Map<string, Set<string>>();
  /** The newest load of each key. Only that one may store its value. */
  const loads = new Map<string, { readonly entry: CacheEntry }>();
  let bytes = 0;

  function remove({ entry, bytes: freed }: Kept): void {
    kept.delete(entry.key);
    bytes -= freed;
    for (const tag of entry.tags) {
      const keys = keysByTag.get(tag);
      keys?.delete(entry.key);
      if (keys?.size === 0) keysByTag.delete(tag);
    }
  }

  function keep(entry: CacheEntry, { text, value, freshMs, staleMs }: CachePayload): boolean {
    const size = bytesPerEntry + 2 * (text.length + entry.key.length);
    if (size > maxBytes * maxShare) return false;
    removeKey(entry.key);
    const freshUntil = now() + freshMs;
    kept.set(entry.key, { entry, value, bytes: size, freshUntil, staleUntil: freshUntil + staleMs });
    bytes += size;
    for (const tag of entry.tags) {
      const keys = keysByTag.get(tag) ?? new Set();
      keysByTag.set(tag, keys.add(entry.key));
    }
    for (const oldest of kept.values()) {
      if (bytes <= maxBytes) break;
      remove(oldest);
      onEviction();
    }
    return true;
  }

  function createLease(entry: CacheEntry): LoadLease {
    const load = { entry };
    loads.set(entry.key, load);
    const end = () => loads.get(entry.key) === load && loads.delete(entry.key);
    return {
      store: (payload) => end() && keep(entry, payload),
      release: () => void end(),
    };
  }

  function removeKey(key: string): void {
    const found = kept.get(key);
    if (found !== undefined) remove(found);
  }

  return {
    isShared: false,

    read({ key }) {
      const found = kept.get(key);
      if (found === undefined) return miss;
      const time = now();
      if (time >= found.staleUntil) {
        remove(found);
        return miss;
      }
      kept.delete(key);
      kept.set(key, found);
      return { kind: 'value', value: found.value, isStale: time >= found.freshUntil };
    },

    startLoad(entry, { replaces }) {
      const found = kept.get(entry.key);
      if (found !== undefined && !replaces && now() < found.freshUntil) {
        return { kind: 'value', value: found.value, isStale: false };
      }
      return { kind: 'lease', lease: createLease(entry) };
    },

    invalidate({ keys, tags }) {
      for (const key of keys) {
        loads.delete(key);
        removeKey(key);
      }
      for (const tag of tags) for (const key of keysByTag.get(tag) ?? []) removeKey(key);
      if (tags.length === 0) return;
      for (const [key, { entry }] of loads) {
        if (entry.tags.some((tag) => tags.includes(tag))) loads.delete(key);
      }
    },

    size: () => ({ entries: kept.size, bytes }),
  };
}
