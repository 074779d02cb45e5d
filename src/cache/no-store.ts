import type { CacheStore } from './cache-store.ts';

/** Keeps nothing: concurrent calls of this process share one load, and every other call loads. */
export const noCacheStore: CacheStore = {
  isShared: false,
  read: () => ({ kind: 'miss' }),
  startLoad: () => ({ kind: 'unavailable' }),
  invalidate() {},
};
