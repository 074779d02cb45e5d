import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import postgres from 'postgres';
import { pauseQueue, resumeQueue } from '../../../src/jobs/admin/operations.ts';
import { createOverviewReader } from '../../../src/jobs/admin/overview.ts';
import { lockClass, registerQueues } from '../../../src/jobs/runner/runner-store.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStoreJob } from '../../helpers/stored-job.ts';
import { mustConnect, mustCreateDatabase, mustOpenTestDatabase } from '../../helpers/test-database.ts';

test('the overview counts jobs by queue, task and state, with the earliest due time of waiting jobs', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  const due = new Date('2026-01-31T12:00:00.000Z');
  await mustStoreJob(sql, { state: 'available', queue: 'mail', runAt: due });
  await mustStoreJob(sql, { state: 'available', queue: 'mail', runAt: new Date(due.getTime() + 1_000) });
  await mustStoreJob(sql, { state: 'running', name: 'count_words' });
  await mustStoreJob(sql, { state: 'failed', queue: 'mail' });
  await mustStoreJob(sql, { state: 'completed', queue: 'mail' });

  const { active, finished } = await createOverviewReader(database).read();
  assert.deepEqual(
    [...active],
    [
      { queue: 'mail', task: 'send_email', state: 'available', jobs: 2, firstRunAt: due },
      { queue: 'default', task: 'count_words', state: 'running', jobs: 1, firstRunAt: null },
    ],
  );
  assert.deepEqual(
    [...(finished ?? [])].sort((a, b) => a.state.localeCompare(b.state)),
    [
      { queue: 'mail', task: 'send_email', state: 'completed', jobs: 1, firstRunAt: null },
      { queue: 'mail', task: 'send_email', state: 'failed', jobs: 1, firstRunAt: null },
    ],
  );
});

test('a scheduled job that has failed before counts as retrying, and others as scheduled', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const due = new Date('2026-01-31T12:00:00.000Z');
  const error = { attempt: 1, at: '2026-01-31T11:00:00.000Z', code: 'threw', message: '' } as const;
  await mustStoreJob(database.sql, { state: 'scheduled', runAt: due });
  // An attempt that ended with a snooze has not failed.
  await mustStoreJob(database.sql, { state: 'scheduled', runAt: due, attempt: 1 });
  await mustStoreJob(database.sql, { state: 'scheduled', runAt: due, errors: [error] });
  const { active } = await createOverviewReader(database).read();
  assert.deepEqual(active.map(({ state, jobs }) => [state, jobs]).sort(), [
    ['retrying', 1],
    ['scheduled', 2],
  ]);
});

test('a second read within the time to live sends no query, and a read after an invalidation does', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const reader = createOverviewReader(database);
  assert.equal((await reader.read()).active.length, 0);
  await mustStoreJob(database.sql, { state: 'available' });
  assert.equal((await reader.read()).active.length, 0);
  reader.invalidate();
  assert.equal((await reader.read()).active.length, 1);
});

test('the number of running jobs matches the runners, also when jobs start between two reads', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  await sql`insert into job_runners (id, host, pid, version, threads) values (1, 'here', 4711, '0.1.0', 4)`;
  const reader = createOverviewReader(database);
  assert.equal((await reader.read()).runners[0]?.running, 0);
  await mustStoreJob(sql, { state: 'running' });
  for (const expected of [0, 1]) {
    const { active, runners } = await reader.read();
    assert.deepEqual([active[0]?.jobs ?? 0, runners[0]?.running], [expected, expected]);
    reader.invalidate();
  }
});

test('the overview lists paused queues, with or without jobs, until they are resumed', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const reader = createOverviewReader(database);
  await registerQueues(database.sql, ['mail']);
  await pauseQueue(database.sql, 'mail');
  const since = (await reader.read()).paused.get('mail');
  assert.ok(since instanceof Date);

  await pauseQueue(database.sql, 'mail');
  reader.invalidate();
  assert.deepEqual((await reader.read()).paused.get('mail'), since, 'it is paused since the first time');

  await resumeQueue(database.sql, 'mail');
  reader.invalidate();
  assert.equal((await reader.read()).paused.size, 0);
});

test('the overview lists runners with their running jobs, and a runner whose session has ended as not alive', async (t) => {
  const database = await mustOpenTestDatabase(t);
  await database.sql`insert into job_runners (id, host, pid, version, threads) values (1, 'here', 4711, '0.1.0', 4)`;
  const session = await mustHoldLock(t, database.url, 1);
  await mustStoreJob(database.sql, { state: 'running' });
  const { runners } = await createOverviewReader(database).read();
  assert.deepEqual(
    runners.map(({ startedAt, ...runner }) => runner),
    [{ id: 1, host: 'here', pid: 4711, version: '0.1.0', threads: 4, running: 1, alive: true }],
  );
  await session.end();
  await eventually('the runner is not alive', async () => {
    const { runners } = await createOverviewReader(database).read();
    return runners[0]?.alive === false;
  });
});

/** Opens a session that holds the lock of a runner number. */
async function mustHoldLock(t: TestContext, url: string, id: number): Promise<postgres.Sql> {
  const session = postgres(url, { max: 1 });
  t.after(() => session.end());
  await session`select pg_advisory_lock(${lockClass}::integer, ${id}::integer)`;
  return session;
}

test('the overview rejects with the database error if the table is missing', async (t) => {
  const database = mustConnect(t, { url: await mustCreateDatabase(t, { empty: true }) });
  await assert.rejects(createOverviewReader(database).read(), { code: '42P01' });
});
