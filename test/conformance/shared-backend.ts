import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Decision, Limit, LimitStore } from '../../src/limits/limit-store.ts';
import type { SharedBackend } from '../../src/limits/shared/shared-backend.ts';

/** Returns a store that asks the backend for each take, without batches and without memory. */
export const direct = (backend: SharedBackend): LimitStore => {
  const takeEach = async (limits: readonly Limit[], key: string): Promise<Decision[]> => {
    const [decisions = []] = await backend.decide([{ limits, key }]);
    return decisions;
  };
  return {
    takeEach,
    take: async (limit, key) => (await takeEach([limit], key))[0] ?? assert.fail('no decision'),
  };
};

export const limitOf = (name: string, quota: number, windowMs = 60_000): Limit => ({
  name,
  policies: [{ name: 'only', quota, windowMs }],
});

/**
 * Defines the tests that every backend of a shared store must pass, besides `conformsToLimitStore`. `makeBackends` resolves with
 * two backends that share one empty store, each with a connection of its own.
 */
export function conformsToSharedBackend(makeBackends: () => Promise<SharedBackend[]>): void {
  it('the asks of one call are decided in order, each as if it were alone', async () => {
    const [backend = assert.fail()] = await makeBackends();
    const limit = limitOf('address', 2);
    const other = limitOf('user', 1);
    const decided = await backend.decide([
      { limits: [limit], key: 'a' },
      { limits: [other, limit], key: 'a' },
      { limits: [limit], key: 'a' },
      { limits: [limit, other], key: 'b' },
      { limits: [other, limit], key: 'a' },
    ]);
    assert.deepEqual(
      decided.map((each) => each.map(({ allowed }) => allowed)),
      [[true], [true, true], [false], [true, true], [false]],
    );
  });

  it('connections that count concurrently admit exactly the quota together', async () => {
    const backends = await makeBackends();
    const limits = [limitOf('address', 100), limitOf('user', 1_000)];
    const asks = ['a', 'b', 'c'].map((key) => ({ limits, key }));
    const decided = await Promise.all(
      Array.from({ length: 150 }, (_, index) => {
        const backend = backends[index % 2] ?? assert.fail();
        // The order of the clients differs between the calls, which must not let two calls wait for each other.
        return backend.decide(index % 3 === 0 ? asks : [...asks].reverse());
      }),
    );
    const allowed = decided.flat(2).filter((each) => each.allowed && each.policy === limits[0]?.policies[0]);
    assert.equal(allowed.length, 300);
  });
}
