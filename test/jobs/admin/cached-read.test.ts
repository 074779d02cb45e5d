import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import { cachedRead } from '../../../src/jobs/admin/cached-read.ts';

/** A cached read that takes `takesMs` of its own clock and returns how many times it ran. */
function counted({ minTtlMs = 1_000, takesMs = 10, restFactor = 20 } = {}) {
  const clock = { ms: 0 };
  let done = 0;
  const value = cachedRead(
    async () => {
      clock.ms += takesMs;
      done += 1;
      return done;
    },
    { minTtlMs, restFactor, now: () => clock.ms },
  );
  return { clock, value };
}

test('all readers within the minimum time to live get one value', async () => {
  const { clock, value } = counted();
  assert.equal(await value.read(1_000), 1);
  clock.ms += 999;
  assert.equal(await value.read(1_000), 1);
  clock.ms += 1;
  assert.equal(await value.read(1_000), 2);
});

test('concurrent readers share one read', async () => {
  const { value } = counted();
  assert.deepEqual(await Promise.all([value.read(1_000), value.read(1_000), value.read(1_000)]), [1, 1, 1]);
});

test('a slow read is cached so long that reading takes 5 % of the time', async () => {
  const { clock, value } = counted({ takesMs: 500 });
  await value.read(1_000);
  clock.ms += 20 * 500 - 1;
  assert.equal(await value.read(1_000), 1);
  clock.ms += 1;
  assert.equal(await value.read(1_000), 2);
});

test('a reader whose wait has expired gets the previous value, or undefined before the first', async () => {
  const works = [createDeferred<string>(), createDeferred<string>()];
  const queue = [...works];
  let ms = 0;
  const value = cachedRead(() => (queue.shift() ?? createDeferred<string>()).promise, {
    minTtlMs: 10,
    now: () => ms,
  });
  assert.equal(await value.read(1), undefined);
  works[0]?.resolve('first');
  assert.equal(await value.read(10_000), 'first');
  ms += 10;
  assert.equal(await value.read(1), 'first');
  works[1]?.resolve('second');
  assert.equal(await value.read(10_000), 'second');
});

test('an error is returned to all readers until the next read is due', async () => {
  let ms = 0;
  let fails = true;
  const value = cachedRead(async () => (fails ? Promise.reject(new Error('away')) : 'there'), {
    minTtlMs: 10,
    now: () => ms,
  });
  await assert.rejects(value.read(1_000), /away/);
  fails = false;
  await assert.rejects(value.read(1_000), /away/);
  ms += 10;
  assert.equal(await value.read(1_000), 'there');
});

test('a reader after an invalidation gets a new value', async () => {
  const { value } = counted();
  assert.equal(await value.read(1_000), 1);
  value.invalidate();
  assert.equal(await value.read(1_000), 2);
});

test('an invalidation during a read makes the next reader read again', async () => {
  const work = createDeferred<void>();
  let done = 0;
  const value = cachedRead(
    async () => {
      done += 1;
      const number = done;
      if (number === 1) await work.promise;
      return number;
    },
    { minTtlMs: 1_000, now: () => 0 },
  );
  const first = value.read(10_000);
  value.invalidate();
  work.resolve();
  assert.equal(await first, 1);
  assert.equal(await value.read(10_000), 2);
});
