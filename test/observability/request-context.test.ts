import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { currentRequest, runBeyondRequest, runInRequest } from '../../src/observability/request-context.ts';

it('code started by a request has the context of that request, and other code has none', async () => {
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

it('work that outlives its request keeps the id, and is not aborted with it', () => {
  runInRequest({ id: 'a', signal: AbortSignal.abort() }, () => {
    const beyond = runBeyondRequest(currentRequest);
    assert.deepEqual([beyond?.id, beyond?.signal.aborted], ['a', false]);
  });
  assert.equal(runBeyondRequest(currentRequest), undefined);
});
