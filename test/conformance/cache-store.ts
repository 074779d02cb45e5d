import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type {
  CacheEntry,
  CachePayload,
  CacheStore,
  LoadLease,
  LoadStart,
} from '../../src/cache/cache-store.ts';
import { eventually } from '../helpers/eventually.ts';

/** Creates an empty store. */
export type CacheStoreFactory = () => CacheStore;

const minute = 60_000;

/** Returns a payload whose value and text are the same text. */
export function payloadOf(value: string, freshMs = minute, staleMs = 0): CachePayload {
  return { text: value, value, freshMs, staleMs };
}

/** Returns the stored value as text; undefined if there is none. */
export async function readText(store: CacheStore, entry: CacheEntry): Promise<unknown> {
  const found = await store.read(entry);
  if (found.kind === 'text') return found.text;
  return found.kind === 'value' ? found.value : undefined;
}

/** Returns the lease of a started load; fails if there is none. */
export function leaseOf(start: LoadStart): LoadLease {
  assert.ok(start.kind === 'lease', `Expected a lease, got ${start.kind}.`);
  return start.lease;
}

export async function startLoad(store: CacheStore, entry: CacheEntry): Promise<LoadLease> {
  return leaseOf(await store.startLoad(entry, { replaces: false }));
}

/** Defines the tests that every cache store must pass. Call it inside a `describe`. */
export function conformsToCacheStore(createStore: CacheStoreFactory): void {
  const entry: CacheEntry = { key: 'user:1', tags: ['users', 'user:1'] };
  const other: CacheEntry = { key: 'user:2', tags: ['users', 'user:2'] };
  const put = async (store: CacheStore, to: CacheEntry, payload: CachePayload) =>
    (await startLoad(store, to)).store(payload);

  it('a stored value is read, and another key is a miss', async () => {
    const store = createStore();
    assert.equal(await put(store, entry, payloadOf('ada')), true);
    assert.equal(await readText(store, entry), 'ada');
    assert.equal((await store.read(other)).kind, 'miss');
  });

  it('a value is stale after its fresh time, and gone after its stale time', async () => {
    const store = createStore();
    const stateOf = async (key: string) => {
      const found = await store.read({ key, tags: [] });
      return 'isStale' in found ? (found.isStale ? 'stale' : 'fresh') : found.kind;
    };
    for (const [key, freshMs, staleMs] of [
      ['fresh', minute, minute],
      ['stale', 20, minute],
      ['miss', 20, 20],
    ] as const) {
      await put(store, { key, tags: [] }, payloadOf('ada', freshMs, staleMs));
      await eventually(`the value is ${key}`, async () => (await stateOf(key)) === key);
    }
  });

  it('the invalidation of a key removes its value and no other', async () => {
    const store = createStore();
    await put(store, entry, payloadOf('ada'));
    await put(store, other, payloadOf('bob'));
    await store.invalidate({ keys: [entry.key], tags: [] });
    assert.deepEqual([await readText(store, entry), await readText(store, other)], [undefined, 'bob']);
  });

  it('the invalidation of a tag removes the values with this tag and no others', async () => {
    const store = createStore();
    const apart: CacheEntry = { key: 'post:1', tags: ['posts'] };
    for (const each of [entry, other, apart]) await put(store, each, payloadOf(each.key));
    await store.invalidate({ keys: [], tags: ['user:2'] });
    assert.deepEqual([await readText(store, entry), await readText(store, other)], ['user:1', undefined]);
    await store.invalidate({ keys: [], tags: ['users'] });
    assert.deepEqual([await readText(store, entry), await readText(store, apart)], [undefined, 'post:1']);
  });

  it('an invalidated value stays invalid when another value with its tag is stored', async () => {
    const store = createStore();
    await put(store, entry, payloadOf('ada'));
    await store.invalidate({ keys: [], tags: ['users'] });
    await put(store, other, payloadOf('bob'));
    assert.deepEqual([await readText(store, entry), await readText(store, other)], [undefined, 'bob']);
  });

  for (const [what, invalidation] of [
    ['key', { keys: [entry.key], tags: [] }],
    ['tag', { keys: [], tags: ['user:1'] }],
  ] as const) {
    it(`a value whose ${what} was invalidated during its load is never read`, async () => {
      const store = createStore();
      const lease = await startLoad(store, entry);
      await store.invalidate(invalidation);
      await lease.store(payloadOf('old'));
      assert.equal((await store.read(entry)).kind, 'miss');
    });

    it(`a load after the invalidation of a ${what} does not wait for an older load, which then stores nothing`, async () => {
      const store = createStore();
      const old = await startLoad(store, entry);
      await store.invalidate(invalidation);
      const fresh = await startLoad(store, entry);
      await fresh.store(payloadOf('new'));
      assert.equal(await old.store(payloadOf('old')), false);
      assert.equal(await readText(store, entry), 'new');
    });
  }

  it('a load that was released can be started again', async () => {
    const store = createStore();
    const lease = await startLoad(store, entry);
    await lease.release();
    assert.equal(await put(store, entry, payloadOf('ada')), true);
    assert.equal(await lease.store(payloadOf('late')), false);
    assert.equal(await readText(store, entry), 'ada');
  });

  it('a load of a fresh value returns it, unless the value is to be replaced', async () => {
    const store = createStore();
    await put(store, entry, payloadOf('ada'));
    const start = await store.startLoad(entry, { replaces: false });
    assert.ok(start.kind === 'text' || start.kind === 'value', start.kind);
    await leaseOf(await store.startLoad(entry, { replaces: true })).store(payloadOf('eve'));
    assert.equal(await readText(store, entry), 'eve');
  });

  it('a value that is too large is not stored', async () => {
    const store = createStore();
    assert.equal(await put(store, entry, payloadOf('x'.repeat(1_100_000))), false);
    assert.equal((await store.read(entry)).kind, 'miss');
  });

  for (const key of ['', '{', '}', 'a b', 'é\n', '{user}:1', '%7D']) {
    it(`the key and tag ${JSON.stringify(key)} are like any other`, async () => {
      const store = createStore();
      const odd = { key, tags: [key] };
      await put(store, odd, payloadOf('odd'));
      assert.equal(await readText(store, odd), 'odd');
      await store.invalidate({ keys: [], tags: [key] });
      assert.equal(await readText(store, odd), undefined);
    });
  }

  it('no order of loads, changes and invalidations lets a value be read that was loaded before an invalidation', async () => {
    // The source has a version. A load copies it when it begins, and stores the copy when it finishes.
    const step = fc.oneof(
      fc.record({ kind: fc.constant('begin' as const) }),
      fc.record({ kind: fc.constant('finish' as const), load: fc.nat(3) }),
      fc.record({ kind: fc.constant('release' as const), load: fc.nat(3) }),
      fc.record({ kind: fc.constant('change' as const) }),
      fc.record({
        kind: fc.constant('invalidate' as const),
        by: fc.constantFrom('key' as const, 'tag' as const),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const store = createStore();
        const loads: { readonly lease: LoadLease; readonly version: number }[] = [];
        let version = 0;
        let oldestValid = 0;
        for (const each of steps) {
          if (each.kind === 'begin') {
            const start = await store.startLoad(entry, { replaces: true });
            if (start.kind === 'lease') loads.push({ lease: start.lease, version });
          } else if (each.kind === 'change') version += 1;
          else if (each.kind === 'invalidate') {
            await store.invalidate(
              each.by === 'key' ? { keys: [entry.key], tags: [] } : { keys: [], tags: ['users'] },
            );
            oldestValid = version;
          } else {
            const [load] = loads.splice(each.load, 1);
            if (each.kind === 'finish') await load?.lease.store(payloadOf(String(load.version)));
            else await load?.lease.release();
          }
          const found = await readText(store, entry);
          assert.ok(
            found === undefined || Number(found) >= oldestValid,
            `read ${found}, valid is ${oldestValid}`,
          );
        }
        await store.invalidate({ keys: [entry.key], tags: [] });
        for (const { lease } of loads) await lease.release();
        await put(store, entry, payloadOf('last'));
        assert.equal(await readText(store, entry), 'last');
      }),
      { numRuns: 60 },
    );
  });
}
