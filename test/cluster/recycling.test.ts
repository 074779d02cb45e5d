import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wearOf } from '../../src/cluster/recycling.ts';

const worker = { state: 'ready', requests: 1_000, rssBytes: 500, ageSeconds: 3_600 } as const;
const off = { maxRequests: 0, maxMemoryBytes: 0 };

test('without limits no worker wears out', () => {
  assert.equal(wearOf(worker, off), undefined);
});

test('a worker is worn out with the last of its requests', () => {
  assert.equal(wearOf(worker, { ...off, maxRequests: 1_001 }), undefined);
  assert.equal(wearOf(worker, { ...off, maxRequests: 1_000 }), 'requests');
});

test('a worker is worn out when it has more memory than it may, but not in its first minute', () => {
  assert.equal(wearOf(worker, { ...off, maxMemoryBytes: 500 }), undefined);
  assert.equal(wearOf(worker, { ...off, maxMemoryBytes: 499 }), 'memory');
  assert.equal(wearOf({ ...worker, ageSeconds: 59 }, { ...off, maxMemoryBytes: 499 }), undefined);
});

test('one that is starting or draining is nobody to replace', () => {
  for (const state of ['starting', 'draining', 'killed'] as const) {
    assert.equal(wearOf({ ...worker, state }, { maxRequests: 1, maxMemoryBytes: 1 }), undefined);
  }
});
