import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pauseQueue, resumeQueue, retryFailed, runRetrying } from '../../../src/jobs/admin/operations.ts';
import { countRetryable, countRetrying } from '../../../src/jobs/admin/search.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { registerQueues } from '../../../src/jobs/runner/runner-store.ts';
import { mustStoreJob } from '../../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const queue = createQueue({ definitions: [] });

test('a queue that has jobs or a runner can be paused, and an unknown queue cannot', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await mustStoreJob(sql, { state: 'completed', queue: 'mail' });
  await registerQueues(sql, ['exports', 'mail']);
  for (const name of ['mail', 'exports']) await pauseQueue(sql, name);
  await registerQueues(sql, ['exports', 'mail']);
  assert.equal((await sql`select from job_queues where paused_at is not null`).length, 2);
  for (const work of [pauseQueue, resumeQueue]) {
    await assert.rejects(work(sql, 'mial'), { code: 'not_found', message: 'There is no queue mial.' });
  }
  await resumeQueue(sql, 'exports');
  assert.equal((await sql`select from job_queues where paused_at is not null`).length, 1);
});

test('retrying failed jobs of a queue and a task retries no others', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const wanted = await mustStoreJob(sql, { state: 'failed', queue: 'mail' });
  await mustStoreJob(sql, { state: 'failed' });
  await mustStoreJob(sql, { state: 'failed', queue: 'mail', name: 'count_words' });
  await mustStoreJob(sql, { state: 'cancelled', queue: 'mail' });
  assert.deepEqual(await retryFailed(sql, queue, { queue: 'mail', task: 'send_email' }, 0), {
    retried: 1,
    after: null,
  });
  const rows = await sql`select id from jobs where state = 'available'`;
  assert.deepEqual(
    rows.map(({ id }) => id),
    [wanted],
  );
});

test('retrying failed jobs skips refused jobs, whose users keep seeing the reason', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const at = '2026-01-31T12:00:00.000Z';
  const threw = { attempt: 1, at, code: 'threw', message: 'Away.' } as const;
  const refused = { attempt: 2, at, code: 'refused', message: 'Line 3 has no name.' } as const;
  const left = [
    await mustStoreJob(sql, { state: 'failed', errors: [threw, refused] }),
    await mustStoreJob(sql, { state: 'failed', errors: [{ ...refused, code: 'invalid_payload' }] }),
  ];
  const retried = await mustStoreJob(sql, { state: 'failed', errors: [refused, threw] });
  assert.equal(await countRetryable(sql, {}, 10), 1);
  assert.deepEqual(await retryFailed(sql, queue, {}, 0), { retried: 1, after: null });
  assert.equal((await queue.find(sql, retried))?.state, 'available');
  for (const id of left) assert.equal((await queue.find(sql, id))?.state, 'failed');
  assert.equal((await queue.retry(sql, left[0] ?? 0))?.state, 'available', 'one by itself is retried');
});

test('many failed jobs are retried in batches, each starting after the previous one', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await sql`
    insert into jobs
      (name, queue, state, priority, payload, attempt, max_attempts, timeout_ms, errors, started_at, finished_at)
    select 'send_email', 'default', 'failed', 100, '{}', 10, 10, 60000,
      '[{"attempt":10,"at":"2026-01-31T12:00:00.000Z","code":"threw","message":"no"}]', now(), now()
    from generate_series(1, 450)`;
  const sizes: number[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const batch = await retryFailed(sql, queue, {}, after);
    sizes.push(batch.retried);
    after = batch.after;
  }
  assert.deepEqual(sizes, [200, 200, 50]);
  assert.equal((await sql`select from jobs where state = 'available'`).length, 450);
});

test('a failed job whose unique key another job has taken is not retried', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const old = await mustStoreJob(sql, { state: 'failed', uniqueKey: 'user 7' });
  await mustStoreJob(sql, { state: 'available', uniqueKey: 'user 7' });
  const other = await mustStoreJob(sql, { state: 'failed' });
  assert.deepEqual(await retryFailed(sql, queue, {}, 0), { retried: 1, after: null });
  assert.equal((await queue.find(sql, old))?.state, 'failed');
  assert.equal((await queue.find(sql, other))?.state, 'available');
});

test('running the retrying jobs of a queue now, in batches, starts no other job', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  await sql`
    insert into jobs (name, queue, state, priority, payload, attempt, max_attempts, timeout_ms, errors, run_at, started_at)
    select 'send_email', case when number <= 250 then 'mail' else 'default' end, 'scheduled', 100, '{}', 5, 10, 60000,
      '[{"attempt":5,"at":"2026-01-31T12:00:00.000Z","code":"threw","message":"no"}]', now() + interval '1 hour', now()
    from generate_series(1, 260) as number`;
  const scheduled = await mustStoreJob(sql, {
    ...{ state: 'scheduled', queue: 'mail', runAt: new Date(Date.now() + 3_600_000) },
  });
  assert.equal(await countRetrying(sql, { queue: 'mail' }, 1_000), 250);
  const sizes: number[] = [];
  for (let after: number | null = 0; after !== null; ) {
    const batch = await runRetrying(sql, { queue: 'mail' }, after);
    sizes.push(batch.started);
    after = batch.after;
  }
  assert.deepEqual(sizes, [200, 50]);
  const counts =
    await sql`select queue, count(*)::integer as jobs from jobs where state = 'available' group by queue`;
  assert.deepEqual([...counts], [{ queue: 'mail', jobs: 250 }]);
  assert.equal((await queue.find(sql, scheduled))?.state, 'scheduled');
});
