import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMemoryCacheStore } from '../../src/cache/memory-store.ts';
import { conformsToCacheStore, payloadOf, readText, startLoad } from '../conformance/cache-store.ts';

describe('the cache in memory', () => {
  conformsToCacheStore(() => createMemoryCacheStore({ maxBytes: 4_000_000 }));

  it('the least recently used values are evicted, and the bytes stay within the bound', async () => {
    let evictions = 0;
    const store = createMemoryCacheStore({
      maxBytes: 8_000,
      onEviction: () => {
        evictions += 1;
      },
    });
    const entryOf = (key: string) => ({ key, tags: ['all'] });
    const put = async (key: string) =>
      (await startLoad(store, entryOf(key))).store(payloadOf('x'.repeat(300)));
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await put(key);
    assert.deepEqual([evictions, store.size().entries], [0, 8]);
    await readText(store, entryOf('a'));
    await put('i');
    assert.deepEqual([evictions, store.size().entries], [1, 8]);
    assert.ok(store.size().bytes <= 8_000);
    assert.notEqual(await readText(store, entryOf('a')), undefined);
    assert.equal(await readText(store, entryOf('b')), undefined);
    await store.invalidate({ keys: [], tags: ['all'] });
    assert.deepEqual(store.size(), { entries: 0, bytes: 0 });
  });
});
