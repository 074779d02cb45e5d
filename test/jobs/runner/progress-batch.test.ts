import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgressBatch, type ProgressEntry } from '../../../src/jobs/runner/progress-batch.ts';
import { eventually } from '../../helpers/eventually.ts';

const entry = (id: number, fraction: number): ProgressEntry => ({ id, attempt: 1, fraction, message: null });

test('the first progress is written at once, then only the latest of each job', async () => {
  const writes: (readonly ProgressEntry[])[] = [];
  const batch = createProgressBatch(async (entries) => void writes.push(entries), 20);
  batch.put(entry(1, 0.1));
  assert.deepEqual(writes, [[entry(1, 0.1)]]);
  for (const fraction of [0.2, 0.3, 0.4]) batch.put(entry(1, fraction));
  batch.put(entry(2, 0.1));
  await eventually('they are written', () => writes.length === 2);
  assert.deepEqual(writes[1], [entry(1, 0.4), entry(2, 0.1)]);
});

test('the progress of a job that has ended is not written', async () => {
  const writes: (readonly ProgressEntry[])[] = [];
  const batch = createProgressBatch(async (entries) => void writes.push(entries), 20);
  batch.put(entry(1, 0.1));
  batch.put(entry(2, 0.1));
  batch.put(entry(2, 0.2));
  batch.put(entry(3, 0.5));
  batch.drop(3);
  await eventually('the other jobs are written', () => writes.length === 2);
  assert.deepEqual(writes, [[entry(1, 0.1)], [entry(2, 0.2)]]);
});
