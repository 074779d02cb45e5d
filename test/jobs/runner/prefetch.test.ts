import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrefetch } from '../../../src/jobs/runner/prefetch.ts';

const idle = { threads: 4, waiting: 0, running: 0, recording: 0 };

test('nothing is claimed ahead before it is known how long jobs take', () => {
  const prefetch = createPrefetch();
  assert.equal(prefetch.claimSize(idle), 4);
  assert.equal(prefetch.claimSize({ ...idle, running: 3 }), 1);
  assert.equal(prefetch.claimSize({ ...idle, running: 4 }), 0);
});

test('of short jobs, what the threads do in a tenth of a second is claimed ahead', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(10);
  assert.equal(prefetch.claimSize(idle), 4 + 40);
});

test('however short they are, no more than a few hundred are held', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(0);
  assert.equal(prefetch.claimSize(idle), 4 + 256);
});

test('one claim fetches half of what fits at least', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(10);
  assert.equal(prefetch.claimSize({ ...idle, running: 4, waiting: 39 }), 0);
  assert.equal(prefetch.claimSize({ ...idle, running: 4, waiting: 20 }), 0);
  assert.equal(prefetch.claimSize({ ...idle, running: 4, waiting: 19 }), 21);
});

test('long jobs are claimed one for each free thread', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(5_000);
  assert.equal(prefetch.claimSize({ ...idle, running: 2 }), 2);
});

test('after jobs had to wait nothing is claimed ahead until many were short again', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(1);
  prefetch.pause();
  assert.equal(prefetch.claimSize(idle), 4);
  let notes = 0;
  while (prefetch.claimSize(idle) === 4 && notes < 1000) {
    prefetch.recordDuration(1);
    notes += 1;
  }
  assert.ok(notes > 10 && notes < 100, `it took ${notes} short jobs`);
});

test('nothing is claimed while the database is behind with what has ended', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(1);
  assert.equal(prefetch.claimSize({ ...idle, recording: 2_048 }), 0);
});
