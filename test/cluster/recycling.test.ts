import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recycleReason } from '../../src/cluster/recycling.ts';

const worker = { state: 'ready', requests: 1_000, rssBytes: 500, ageSeconds: 3_600 } as const;
const off = { maxRequests: 0, maxMemoryBytes: 0 };

test('without limits no worker is recycled', () => {
  assert.equal(recycleReason(worker, off), undefined);
});

test('a worker is recycled when it has received its maximum of requests', () => {
  assert.equal(recycleReason(worker, { ...off, maxRequests: 1_001 }), undefined);
  assert.equal(recycleReason(worker, { ...off, maxRequests: 1_000 }), 'requests');
});

test('a worker above its memory limit is recycled, but not in its first minute', () => {
  assert.equal(recycleReason(worker, { ...off, maxMemoryBytes: 500 }), undefined);
  assert.equal(recycleReason(worker, { ...off, maxMemoryBytes: 499 }), 'memory');
  assert.equal(recycleReason({ ...worker, ageSeconds: 59 }, { ...off, maxMemoryBytes: 499 }), undefined);
});

test('a worker that is starting, draining or killed is not recycled', () => {
  for (const state of ['starting', 'draining', 'killed'] as const) {
    assert.equal(recycleReason({ ...worker, state }, { maxRequests: 1, maxMemoryBytes: 1 }), undefined);
  }
});
