import assert from 'node:assert/strict';
import { test } from 'node:test';
import { searchJobs } from '../../../src/jobs/admin/search.ts';
import { mustStoreJob } from '../../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

test('each part of a filter selects the matching jobs', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const available = await mustStoreJob(sql, { state: 'available', queue: 'mail', requestId: '8c1f-AA' });
  const failed = await mustStoreJob(sql, { state: 'failed', name: 'count_words', requestId: '8c1f-bb' });
  const running = await mustStoreJob(sql, { state: 'running', requestId: 'a%_b' });
  const idsOf = async (filter: Parameters<typeof searchJobs>[1]) =>
    (await searchJobs(sql, filter, undefined)).jobs.map(({ id }) => id);

  assert.deepEqual(await idsOf({}), [running, failed, available]);
  assert.deepEqual(await idsOf({ state: 'failed' }), [failed]);
  assert.deepEqual(await idsOf({ state: 'completed' }), []);
  assert.deepEqual(await idsOf({ queue: 'mail' }), [available]);
  assert.deepEqual(await idsOf({ task: 'count_words' }), [failed]);
  assert.deepEqual(await idsOf({ task: 'count_words', queue: 'mail' }), []);
  assert.deepEqual(await idsOf({ text: '8C1F' }), [failed, available], 'whatever the case');
  assert.deepEqual(await idsOf({ text: '%_' }), [running], 'no character stands for others');
  assert.deepEqual(await idsOf({ text: String(failed) }), [failed], 'a number is the id of a job');
  assert.deepEqual(await idsOf({ text: "'; drop table jobs; --" }), []);
});

test('scheduled and retrying jobs are different filters', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const error = { attempt: 1, at: '2026-01-31T12:00:00.000Z', code: 'threw', message: 'away' } as const;
  const scheduled = await mustStoreJob(sql, { state: 'scheduled' });
  const retrying = await mustStoreJob(sql, { state: 'scheduled', errors: [error] });
  await mustStoreJob(sql, { state: 'available', errors: [error] });
  const found = async (state: 'scheduled' | 'retrying') =>
    (await searchJobs(sql, { state }, undefined)).jobs.map((job) => [job.id, job.state]);
  assert.deepEqual(await found('scheduled'), [[scheduled, 'scheduled']]);
  assert.deepEqual(await found('retrying'), [[retrying, 'retrying']]);
});

test('pages list all jobs, newest first, each once', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await sql`
    insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
    select 'send_email', 'default', 'available', 100, '{}', 10, 60000 from generate_series(1, 120)`;
  const seen: number[] = [];
  let pages = 0;
  for (let before: number | undefined; ; ) {
    const page = await searchJobs(sql, {}, before);
    seen.push(...page.jobs.map(({ id }) => id));
    pages += 1;
    if (page.before === null) break;
    before = page.before;
  }
  assert.equal(pages, 3);
  assert.deepEqual(
    seen,
    Array.from({ length: 120 }, (_, index) => 120 - index),
  );
});

test('a search without an index reads a bounded number of rows, and the page has the id to continue at', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const old = await mustStoreJob(sql, { state: 'completed', name: 'build_index' });
  await sql`
    insert into jobs (name, queue, state, priority, payload, attempt, max_attempts, timeout_ms, started_at, finished_at)
    select 'send_email', 'default', 'completed', 100, '{}', 1, 10, 60000, now(), now()
    from generate_series(1, 60000)`;
  const first = await searchJobs(sql, { task: 'build_index' }, undefined);
  assert.deepEqual(first.jobs, []);
  assert.ok(first.before !== null && first.before > old);
  const second = await searchJobs(sql, { task: 'build_index' }, first.before);
  assert.deepEqual(
    second.jobs.map(({ id }) => id),
    [old],
  );
  assert.equal(second.before, null);

  const failed = await mustStoreJob(sql, { state: 'failed' });
  assert.equal((await searchJobs(sql, { state: 'failed' }, undefined)).jobs[0]?.id, failed);
});

test('a listed job has its last error, shortened', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const at = '2026-01-31T12:00:00.000Z';
  await mustStoreJob(sql, {
    state: 'failed',
    errors: [
      { attempt: 1, at, code: 'timeout', message: 'too late' },
      { attempt: 2, at, code: 'threw', message: 'x'.repeat(10_000) },
    ],
  });
  const { jobs } = await searchJobs(sql, {}, undefined);
  assert.deepEqual(jobs[0]?.lastError, { code: 'threw', message: 'x'.repeat(500) });
});
