import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import { createBatch } from '../../../src/jobs/runner/batch.ts';

test('items added during a write are written together after it', async () => {
  const writes: number[][] = [];
  const gates = [createDeferred(), createDeferred()];
  const batch = createBatch(async (items: readonly number[]) => {
    writes.push([...items]);
    await gates[writes.length - 1]?.promise;
    return new Set(items);
  }, 100);
  const first = batch.add(1);
  const others = Promise.all([batch.add(2), batch.add(3)]);
  assert.deepEqual(writes, [[1]]);
  gates[0]?.resolve();
  await first;
  gates[1]?.resolve();
  await others;
  assert.deepEqual(writes, [[1], [2, 3]]);
  await batch.add(4);
  assert.deepEqual(writes, [[1], [2, 3], [4]]);
});

test('a write gets at most the maximum batch size, in order', async () => {
  const writes: number[][] = [];
  const batch = createBatch(async (items: readonly number[]) => {
    writes.push([...items]);
    return new Set(items);
  }, 2);
  await Promise.all([1, 2, 3, 4, 5].map((item) => batch.add(item)));
  assert.ok(writes.every(({ length }) => length <= 2));
  assert.deepEqual(writes.flat(), [1, 2, 3, 4, 5]);
});

test('an item that a write leaves out resolves to false and is not written again', async () => {
  const writes: number[][] = [];
  const batch = createBatch(async (items: readonly number[]) => {
    writes.push([...items]);
    return new Set(items.filter((item) => item !== 2));
  }, 2);
  assert.deepEqual(await Promise.all([1, 2, 3].map((item) => batch.add(item))), [true, false, true]);
  assert.deepEqual(writes, [[1], [2, 3]]);
});
