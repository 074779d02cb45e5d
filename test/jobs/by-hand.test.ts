import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryFailed } from '../../src/jobs/by-hand.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const queue = createQueue({ definitions: [] });

test('failed jobs of a queue and a task are tried again, and no others', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const wanted = await mustStoreJob(sql, { state: 'failed', queue: 'mail' });
  await mustStoreJob(sql, { state: 'failed' });
  await mustStoreJob(sql, { state: 'failed', queue: 'mail', name: 'import_users' });
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

test('many are retried in batches, each of which begins where the last one ended', async (t) => {
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

test('one whose unique key another job has meanwhile is left as it is', async (t) => {
  const { sql } = await mustOpenTestDatabase(t);
  const old = await mustStoreJob(sql, { state: 'failed', uniqueKey: 'user 7' });
  await mustStoreJob(sql, { state: 'available', uniqueKey: 'user 7' });
  const other = await mustStoreJob(sql, { state: 'failed' });
  assert.deepEqual(await retryFailed(sql, queue, {}, 0), { retried: 1, after: null });
  assert.equal((await queue.find(sql, old))?.state, 'failed');
  assert.equal((await queue.find(sql, other))?.state, 'available');
});
