import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { CacheStore } from '../../src/cache/cache-store.ts';
import { createGuardedCacheStore } from '../../src/cache/guarded-store.ts';
import { createMemoryCacheStore } from '../../src/cache/memory-store.ts';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { conformsToCacheStore, payloadOf, readText, startLoad } from '../conformance/cache-store.ts';
import { eventually } from '../helpers/eventually.ts';
import { makeTestCircuit } from '../helpers/test-circuit.ts';

const entry = { key: 'user:1', tags: ['users'] };
const other = { key: 'user:2', tags: [] };

/** A store that works, rejects, or never answers. */
function createFailingStore() {
  const memory = createMemoryCacheStore({ maxBytes: 4_000_000 });
  const outage = { kind: 'none' as 'none' | 'error' | 'silence' };
  const pass = async <T>(work: () => T | Promise<T>): Promise<T> => {
    if (outage.kind === 'error') throw new Error('Redis is away');
    if (outage.kind === 'silence') return new Promise(() => {});
    return work();
  };
  const store: CacheStore = {
    isShared: true,
    read: (each) => pass(() => memory.read(each)),
    startLoad: (each, options) => pass(() => memory.startLoad(each, options)),
    invalidate: (invalidation) => pass(() => memory.invalidate(invalidation)),
  };
  return { memory, outage, store };
}

function guard(t: Pick<TestContext, 'after'>, inner = createFailingStore()) {
  const circuit = makeTestCircuit('cache');
  const store = createGuardedCacheStore({
    store: inner.store,
    deadlineMs: 20,
    createCircuit: circuit.create,
    onCall() {},
  });
  t.after(store.stop);
  return { ...inner, guarded: store, changes: circuit.changes };
}

describe('a guarded cache store', () => {
  conformsToCacheStore(() => guard({ after: () => {} }).guarded);

  for (const [kind, reason] of [
    ['error', 'Redis is away'],
    ['silence', 'No answer within 20 ms'],
  ] as const) {
    it(`a store that answers with ${kind} is unavailable, and is used again when it answers`, async (t) => {
      const { guarded, outage, changes } = guard(t);
      await (await startLoad(guarded, other)).store(payloadOf('bob'));
      outage.kind = kind;
      assert.equal((await guarded.read(other)).kind, 'unavailable');
      assert.deepEqual(changes(), [`opened: ${reason}`]);
      assert.equal((await guarded.startLoad(other, { replaces: false })).kind, 'unavailable');
      assert.equal(guarded.isUp(), false);
      outage.kind = 'none';
      await eventually('the store is up', () => guarded.isUp());
      assert.deepEqual(changes().slice(1), ['closed']);
      assert.equal(await readText(guarded, other), 'bob');
    });
  }

  it('a lease of a store that fails meanwhile stores nothing and does not reject', async (t) => {
    const { guarded, outage } = guard(t);
    const lease = await startLoad(guarded, entry);
    outage.kind = 'silence';
    await guarded.read(entry);
    assert.equal(await lease.store(payloadOf('ada')), false);
    await lease.release();
  });

  it('a lease that is granted after the deadline, or not used because the store failed, is released', async (t) => {
    const inner = createFailingStore();
    const answer = createDeferred();
    const leases: string[] = [];
    const { guarded, outage } = guard(t, {
      ...inner,
      store: {
        ...inner.store,
        async startLoad({ key }) {
          if (key === 'late') await answer.promise;
          const lease = { store: () => true, release: () => void leases.push(key) };
          return { kind: 'lease', lease };
        },
      },
    });
    assert.equal(
      (await guarded.startLoad({ key: 'late', tags: [] }, { replaces: false })).kind,
      'unavailable',
    );
    answer.resolve();
    await eventually('the late lease is released', () => leases.includes('late'));
    await eventually('the store is up', () => guarded.isUp());
    const unused = await startLoad(guarded, entry);
    outage.kind = 'error';
    await guarded.read(entry);
    assert.equal(await unused.store(payloadOf('ada')), false);
    assert.ok(leases.includes(entry.key));
  });

  it('an invalidation that failed is repeated before the store is used again', async (t) => {
    const { guarded, memory, outage } = guard(t);
    for (const each of [entry, other]) await (await startLoad(guarded, each)).store(payloadOf(each.key));
    outage.kind = 'silence';
    await guarded.invalidate({ keys: [], tags: ['users'] });
    await guarded.invalidate({ keys: [other.key], tags: [] });
    assert.equal(await readText(memory, entry), 'user:1');
    outage.kind = 'none';
    assert.equal((await guarded.read(entry)).kind, 'unavailable');
    await eventually('the store is up', () => guarded.isUp());
    for (const each of [entry, other]) assert.equal((await guarded.read(each)).kind, 'miss', each.key);
  });
});
