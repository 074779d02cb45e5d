import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import fc from 'fast-check';
import type { Decision, Limit, LimitStore, Policy } from '../../src/limits/limit-store.ts';
import { SlidingLog } from '../../src/resilience/sliding-window.ts';

/** A clock that the test sets, in milliseconds. */
export interface TestClock {
  now: number;
}

export interface LimitStoreFactoryInput {
  readonly clock: TestClock;
  /** The context of the test, for stores that must be closed after it. */
  readonly t: TestContext;
}

/** Creates an empty store with the clock. */
export type LimitStoreFactory = (input: LimitStoreFactoryInput) => LimitStore | Promise<LimitStore>;

const policies: readonly Policy[] = [
  { name: 'short', quota: 3, windowMs: 1000 },
  { name: 'long', quota: 5, windowMs: 10_000 },
];

/** Defines the tests that every limit store must pass. Call it inside a `describe`. */
export function conformsToLimitStore(makeStore: LimitStoreFactory): void {
  const start = async (t: TestContext, these = policies) => {
    const clock: TestClock = { now: 1_000_000 };
    const store = await makeStore({ clock, t });
    const limit = { name: 'test', policies: these };
    return { clock, store, limit, take: async (key = 'client') => store.take(limit, key) };
  };
  const facts = ({ allowed, policy, remaining, resetMs }: Decision) => [
    allowed,
    policy.name,
    remaining,
    resetMs,
  ];

  it('the store allows as many requests as the quota, and returns how many are left', async (t) => {
    const { take } = await start(t);
    assert.deepEqual(facts(await take()), [true, 'short', 2, 1000]);
    assert.deepEqual(facts(await take()), [true, 'short', 1, 1000]);
    assert.deepEqual(facts(await take()), [true, 'short', 0, 1000]);
    assert.deepEqual(facts(await take()), [false, 'short', 0, 1000]);
  });

  it('the store allows a request again at the moment that a rejection states', async (t) => {
    const { clock, take } = await start(t);
    for (let times = 0; times < 3; times += 1) await take();
    clock.now += 400;
    const { resetMs } = await take();
    clock.now += resetMs - 1;
    assert.equal((await take()).allowed, false);
    clock.now += 1;
    assert.equal((await take()).allowed, true);
  });

  it('the store enforces every policy, and names the exceeded one with the longest wait', async (t) => {
    const { clock, take } = await start(t);
    for (const step of [0, 0, 0, 1000, 0]) {
      clock.now += step;
      assert.equal((await take()).allowed, true);
    }
    clock.now += 1;
    assert.deepEqual(facts(await take()), [false, 'long', 0, 8999]);
  });

  it('the store counts each client separately', async (t) => {
    const { take } = await start(t);
    for (let times = 0; times < 4; times += 1) await take('one');
    assert.equal((await take('one')).allowed, false);
    for (const key of ['other', 'One', ' one', '2001:db8:0:0::/64', '__proto__', 'constructor', '']) {
      assert.deepEqual(facts(await take(key)), [true, 'short', 2, 1000], key);
    }
  });

  it('the store counts each limit separately, even if names or policies are partly equal', async (t) => {
    const { store, limit, take } = await start(t);
    for (let times = 0; times < 4; times += 1) await take();
    const others: Limit[] = [
      { name: 'other', policies },
      { name: limit.name, policies: [{ name: 'short', quota: 4, windowMs: 1000 }] },
      { name: limit.name, policies: [{ name: 'short', quota: 4, windowMs: 2000 }] },
    ];
    for (const other of others) {
      const { allowed, policy, remaining } = await store.take(other, 'client');
      assert.deepEqual([allowed, remaining], [true, (other.policies[0]?.quota ?? 0) - 1]);
      assert.equal(policy, other.policies[0]);
    }
    assert.equal((await take()).allowed, false);
  });

  it('the store counts equal limits as one', async (t) => {
    const { store, limit, take } = await start(t);
    for (let times = 0; times < 3; times += 1) await take();
    const same: Limit = { name: limit.name, policies: policies.map((policy) => ({ ...policy })) };
    const decision = await store.take(same, 'client');
    assert.deepEqual(facts(decision), [false, 'short', 0, 1000]);
    assert.equal(decision.policy, same.policies[0]);
  });

  it('the store allows exactly the quota of concurrent requests', async (t) => {
    const { take } = await start(t, [{ name: 'only', quota: 20, windowMs: 60_000 }]);
    const decisions = await Promise.all(Array.from({ length: 100 }, () => take()));
    assert.equal(decisions.filter(({ allowed }) => allowed).length, 20);
  });

  it('the store decides like a sliding log per client', async (t) => {
    const step = fc.tuple(
      fc.constantFrom('a', 'b', 'c'),
      fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2500 })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (asked) => {
        const { clock, take } = await start(t);
        const logs = new Map<string, SlidingLog>();
        for (const [key, wait] of asked) {
          clock.now += wait;
          const log = logs.get(key) ?? new SlidingLog();
          logs.set(key, log);
          assert.deepEqual(facts(await take(key)), facts(log.take(policies, clock.now)));
        }
      }),
      { numRuns: 50 },
    );
  });
}
