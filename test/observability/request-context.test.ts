import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { currentRequest, runBeyondRequest, runInRequest } from '../../src/observability/request-context.ts';

it('what a request starts knows its request, and nothing else does', async () => {
  const { signal } = new AbortController();
  const ids = await Promise.all(
    ['a', 'b', 'c'].map((id) =>
      runInRequest({ id, signal }, async () => {
        await delay(1);
        const fromTimer = new Promise((resolve) => setTimeout(() => resolve(currentRequest()?.id), 1));
        return [currentRequest()?.id, await fromTimer];
      }),
    ),
  );
  assert.deepEqual(ids, [
    ['a', 'a'],
    ['b', 'b'],
    ['c', 'c'],
  ]);
  assert.equal(currentRequest(), undefined);
});

it('what goes on beyond its request keeps the id, and is not ended with it', () => {
  runInRequest({ id: 'a', signal: AbortSignal.abort() }, () => {
    const beyond = runBeyondRequest(currentRequest);
    assert.deepEqual([beyond?.id, beyond?.signal.aborted], ['a', false]);
  });
  assert.equal(runBeyondRequest(currentRequest), undefined);
});
