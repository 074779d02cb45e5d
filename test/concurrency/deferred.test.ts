import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';

describe('createDeferred', () => {
  it('a deferred promise resolves with the value that resolve is called with', async () => {
    const { promise, resolve } = createDeferred<number>();
    resolve(1);
    assert.equal(await promise, 1);
  });

  it('a deferred promise rejects with the reason that reject is called with', async () => {
    const { promise, reject } = createDeferred();
    const reason = new Error('refused');
    reject(reason);
    await assert.rejects(promise, (error) => error === reason);
  });

  it('a settled deferred promise ignores further calls', async () => {
    const { promise, resolve, reject } = createDeferred<string>();
    resolve('first');
    resolve('second');
    reject(new Error('third'));
    assert.equal(await promise, 'first');
  });

  it('a deferred promise stays pending until it is settled', async () => {
    const { promise, resolve } = createDeferred<string>();
    assert.equal(await Promise.race([promise, Promise.resolve('pending')]), 'pending');
    resolve('settled');
    assert.equal(await promise, 'settled');
  });
});
