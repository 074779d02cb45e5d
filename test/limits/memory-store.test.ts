import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMemoryLimitStore, type MemoryLimitStoreOptions } from '../../src/limits/memory-store.ts';
import { conformsToLimitStore } from '../conformance/limit-store.ts';

const makeStore = (options: Partial<MemoryLimitStoreOptions> = {}) =>
  createMemoryLimitStore({ maxClients: 1000, now: () => 0, ...options });

const limitOf = (name: string, quota = 1) => ({
  name,
  policies: [{ name: 'minute', quota, windowMs: 60_000 }],
});

describe('the memory store', () => {
  conformsToLimitStore(({ clock }) => makeStore({ now: () => clock.now }));

  it('each limit has its own maximum number of clients', () => {
    const store = makeStore({ maxClients: 2 });
    const login = limitOf('login');
    store.take(login, 'victim');
    for (let client = 0; client < 100; client += 1) store.take(limitOf('address'), `client ${client}`);
    assert.equal(store.take(login, 'victim').allowed, false);
  });

  it('the store holds a hundred limits, and drops the oldest one for the next', () => {
    const store = makeStore();
    const limits = Array.from({ length: 100 }, (_, index) => limitOf(`limit ${index}`));
    for (const limit of limits) store.take(limit, 'a');
    const allows = (index: number) => store.take(limitOf(`limit ${index}`), 'a').allowed;
    assert.deepEqual([0, 1, 99].map(allows), [false, false, false]);
    store.take(limitOf('one more'), 'a');
    assert.deepEqual([0, 1, 99].map(allows), [false, false, false]);
    const [, , forgotten = limitOf('')] = limits;
    assert.deepEqual([store.take(forgotten, 'a').allowed, allows(2)], [true, false]);
  });

  it('a limit without a policy throws a RangeError', () => {
    assert.throws(() => makeStore().take({ name: 'empty', policies: [] }, 'a'), /"empty" has no policy/);
  });

  it('the report of dropped clients names the limit', () => {
    const reported: unknown[] = [];
    const clock = { now: 0 };
    const store = makeStore({
      maxClients: 1,
      now: () => clock.now,
      onCleanup: (counts) => reported.push(counts),
    });
    for (clock.now of [0, 60_000]) for (const key of ['a', 'b']) store.take(limitOf('login'), key);
    assert.deepEqual(reported, [{ limit: 'login', dropped: 2, early: 2, kept: 1 }]);
  });
});
