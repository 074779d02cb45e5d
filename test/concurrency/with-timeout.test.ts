import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { withTimeout } from '../../src/concurrency/with-timeout.ts';

function throwLate(): never {
  throw new Error('late');
}

const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

describe('withTimeout', () => {
  it('work that finishes in time settles with its own value or error', async () => {
    assert.equal(await withTimeout(Promise.resolve(1), 60_000, throwLate), 1);
    const failure = new Error('failed');
    await assert.rejects(
      withTimeout(Promise.reject(failure), 60_000, throwLate),
      (error) => error === failure,
    );
  });

  it('work that takes too long rejects with the error that onTimeout throws', async () => {
    await assert.rejects(withTimeout(createDeferred().promise, 1, throwLate), { message: 'late' });
  });

  it('work that takes too long resolves with the value that onTimeout returns', async () => {
    assert.equal(await withTimeout(createDeferred<string>().promise, 1, () => undefined), undefined);
  });

  it('work that finishes in time leaves no timer behind, whether it resolves or rejects', async () => {
    const before = timers();
    await withTimeout(Promise.resolve(), 60_000, throwLate);
    await assert.rejects(withTimeout(Promise.reject(new Error('failed')), 60_000, throwLate));
    assert.equal(timers(), before);
  });

  it('work that rejects after the timeout raises no unhandled rejection', async (t) => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    t.after(() => process.off('unhandledRejection', note));
    const { promise, reject } = createDeferred();
    await withTimeout(promise, 1, () => {});
    reject(new Error('too late to matter'));
    await new Promise(setImmediate);
    assert.deepEqual(unhandled, []);
  });
});
