import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMinuteStatistics } from '../../../src/jobs/admin/minute-statistics.ts';
import { mustStoreJob } from '../../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const now = Date.parse('2026-01-31T12:30:20.000Z');
const minuteAgo = (minutes: number, ms = 0) => new Date(now - 20_000 - minutes * 60_000 + ms);

test('the statistics have sixty minutes, oldest first, and zero for minutes without jobs', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const minutes = await createMinuteStatistics(sql, () => now)();
  assert.equal(minutes.length, 60);
  assert.deepEqual(minutes[0]?.start, new Date('2026-01-31T11:31:00.000Z'));
  assert.deepEqual(minutes.at(-1), {
    start: new Date('2026-01-31T12:30:00.000Z'),
    completed: 0,
    failed: 0,
    cancelled: 0,
    wait: null,
    run: null,
  });
});

test('jobs count in the minute in which they finished, with p50 and p95 of their wait and run times', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  for (let each = 1; each <= 20; each += 1) {
    const runAt = minuteAgo(5, 1_000);
    const startedAt = new Date(runAt.getTime() + each);
    const finishedAt = new Date(startedAt.getTime() + each * 10);
    await mustStoreJob(sql, { state: each === 1 ? 'failed' : 'completed', runAt, startedAt, finishedAt });
  }
  // Cancelled before it started: it has no wait time and no run time.
  await mustStoreJob(sql, { state: 'cancelled', startedAt: null, finishedAt: minuteAgo(5, 2_000) });

  const minutes = await createMinuteStatistics(sql, () => now)();
  assert.deepEqual(minutes.at(-6), {
    start: minuteAgo(5),
    completed: 19,
    failed: 1,
    cancelled: 1,
    wait: { p50: 10, p95: 19 },
    run: { p50: 100, p95: 190 },
  });
});

test('a job that is cancelled while it waits for a retry does not count in the wait and run times', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const runAt = minuteAgo(5, 1_000);
  await mustStoreJob(sql, {
    state: 'completed',
    runAt,
    startedAt: minuteAgo(5, 1_010),
    finishedAt: minuteAgo(5, 1_030),
  });
  // Its attempt failed twenty minutes ago, and the next one was due later.
  for (let each = 0; each < 5; each += 1) {
    const startedAt = minuteAgo(25);
    await mustStoreJob(sql, { state: 'cancelled', startedAt, runAt, finishedAt: minuteAgo(5, 2_000) });
  }
  const minute = (await createMinuteStatistics(sql, () => now)()).at(-6);
  assert.equal(minute?.cancelled, 5);
  assert.deepEqual(minute.wait, { p50: 10, p95: 10 });
  assert.deepEqual(minute.run, { p50: 20, p95: 20 });
});

test('a job that is cancelled while it runs counts in the run times', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const runAt = minuteAgo(5, 1_000);
  await mustStoreJob(sql, { state: 'cancelled', runAt, startedAt: runAt, finishedAt: minuteAgo(5, 1_700) });
  assert.deepEqual((await createMinuteStatistics(sql, () => now)()).at(-6)?.run, { p50: 700, p95: 700 });
});

test('a job at the last moment of a minute counts in it, and one at the start of the next minute in the next', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await mustStoreJob(sql, { state: 'completed', finishedAt: minuteAgo(2, -1) });
  await mustStoreJob(sql, { state: 'completed', finishedAt: minuteAgo(2) });
  const minutes = await createMinuteStatistics(sql, () => now)();
  assert.deepEqual(
    minutes.slice(-4, -1).map(({ completed }) => completed),
    [1, 1, 0],
  );
});

test('a read soon after another includes newly finished jobs, and a read long after it has the whole hour', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  let at = now;
  const look = createMinuteStatistics(sql, () => at);
  await look();
  await mustStoreJob(sql, { state: 'completed', finishedAt: minuteAgo(1) });
  await mustStoreJob(sql, { state: 'completed', finishedAt: minuteAgo(-2) });
  at += 3 * 60_000;
  const counts = async () => (await look()).map(({ completed }) => completed);
  assert.deepEqual((await counts()).slice(-6), [0, 1, 0, 0, 1, 0]);
  at += 40 * 60_000;
  const later = await counts();
  assert.equal(later.length, 60);
  assert.equal(
    later.reduce((sum, completed) => sum + completed),
    2,
  );
});
