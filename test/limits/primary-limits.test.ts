import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMemoryLimitStore } from '../../src/limits/memory.ts';
import { createPrimaryLimits } from '../../src/limits/primary-limits.ts';

const limitOf = (quota: number, name = 'login') => ({
  name,
  policies: [
    { name: 'hour', quota: 100, windowMs: 3_600_000 },
    { name, quota, windowMs: 60_000 },
  ],
});

function makePrimary() {
  const store = createMemoryLimitStore({ maxClients: 1000, now: () => 0 });
  return { connect: () => createPrimaryLimits(store) };
}

const take = { id: 7, limit: 'login', key: 'a' };

describe('the primary', () => {
  it('answers with the id of the question and the index of the policy', () => {
    const worker = makePrimary().connect();
    worker.define(limitOf(1));
    assert.deepEqual(worker.decide(take), { id: 7, allowed: true, policy: 1, remaining: 0, resetMs: 60_000 });
    assert.deepEqual(worker.decide(take), {
      id: 7,
      allowed: false,
      policy: 1,
      remaining: 0,
      resetMs: 60_000,
    });
  });

  it('does not answer for a limit that this worker has not defined, though another has', () => {
    const { connect } = makePrimary();
    connect().define(limitOf(1));
    assert.equal(connect().decide(take), undefined);
  });

  it('keeps the permits of a limit that is defined again with the same content', () => {
    const worker = makePrimary().connect();
    for (const allowed of [true, true, false]) {
      worker.define(limitOf(2));
      assert.equal(worker.decide(take)?.allowed, allowed);
    }
  });

  it('counts for each worker by the content that it has defined', () => {
    const { connect } = makePrimary();
    const [old, young] = [connect(), connect()];
    old.define(limitOf(1));
    young.define(limitOf(2));
    assert.deepEqual(
      [old, young, old, young, young].map((worker) => worker.decide(take)?.allowed),
      [true, true, false, true, false],
    );
  });

  it('takes a hundred limits of a worker and no more', () => {
    const worker = makePrimary().connect();
    for (let index = 0; index <= 100; index += 1) worker.define(limitOf(1, `limit ${index}`));
    assert.equal(worker.decide({ ...take, limit: 'limit 99' })?.allowed, true);
    assert.equal(worker.decide({ ...take, limit: 'limit 100' }), undefined);
    worker.define(limitOf(5, 'limit 99'));
    assert.equal(worker.decide({ ...take, limit: 'limit 99' })?.remaining, 4);
  });
});
