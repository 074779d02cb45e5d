import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrefetch } from '../../../src/jobs/runner/prefetch.ts';

const idle = { threads: 4, waiting: 0, running: 0, recording: 0 };

test('nothing is claimed ahead before the first job has ended', () => {
  const prefetch = createPrefetch();
  assert.equal(prefetch.claimSize(idle), 4);
  assert.equal(prefetch.claimSize({ ...idle, running: 3 }), 1);
  assert.equal(prefetch.claimSize({ ...idle, running: 4 }), 0);
});

test('short jobs are claimed ahead for 100 ms of work', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(10);
  assert.equal(prefetch.claimSize(idle), 4 + 40);
});

test('at most 256 jobs are claimed ahead, however short they are', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(0);
  assert.equal(prefetch.claimSize(idle), 4 + 256);
});

test('a claim waits until half of the jobs ahead are gone', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(10);
  assert.equal(prefetch.claimSize({ ...idle, running: 4, waiting: 39 }), 0);
  assert.equal(prefetch.claimSize({ ...idle, running: 4, waiting: 20 }), 0);
  assert.equal(prefetch.claimSize({ ...idle, running: 4, waiting: 19 }), 21);
});

test('long jobs are claimed one per free thread', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(5_000);
  assert.equal(prefetch.claimSize({ ...idle, running: 2 }), 2);
});

test('nothing is claimed ahead after a pause until many jobs were short again', () => {
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

test('nothing is claimed while too many outcomes wait to be recorded', () => {
  const prefetch = createPrefetch();
  prefetch.recordDuration(1);
  assert.equal(prefetch.claimSize({ ...idle, recording: 2_048 }), 0);
});
