import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { taskDefinitions } from '../../src/declarations.ts';
import { dailyReport } from '../../src/features/reports/reports.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { startJobs } from '../../src/program/start-jobs.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';
import { testSecret } from '../helpers/test-secret.ts';

const queue = createQueue({ definitions: taskDefinitions });

/** Runs jobs in this process, in a real thread, until the end of the test. */
async function mustStartJobs(t: TestContext, databaseUrl: string, pruneEveryMs?: number) {
  const { settings } = loadSettings({
    env: {
      APP_ENVIRONMENT: 'test',
      SECURITY_JWT_SECRET: testSecret,
      APP_DATA_DIR: await mustMakeFolder(t),
      APP_TASKS_THREADS: '1',
    },
    envFile: null,
  });
  const { log, of } = captureLog();
  const jobs = await startJobs({
    ...{ settings, databaseUrl, log, metrics: createMetrics() },
    ...(pruneEveryMs !== undefined && { pruneEveryMs }),
  });
  t.after(() => jobs.stop(0));
  return { ...jobs, of };
}

it('the daily report is made in a thread, and its mails leave through another job', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  await sql`
    insert into users (username, email, password_hash, role, created_at, email_verified_at)
    values ('ada', 'ada@example.org', 'none', 'admin', '2026-11-22T12:00Z', '2026-11-22T12:00Z')`;
  const { job } = await queue.enqueue(sql, dailyReport, { day: '2026-11-22' });
  const { of, stop } = await mustStartJobs(t, database.url);
  await eventually('the mail is delivered', () => of('mail.delivered').length > 0);
  const report = await queue.find(sql, job.id);
  assert.equal(report?.state, 'completed');
  assert.deepEqual(report?.result, {
    ...{ day: '2026-11-22', new_users: 1, sign_ins: 0, posts: 0 },
    ...{ jobs: { completed: 0, failed: 0, cancelled: 0 }, mailed_to: 1 },
  });
  await stop(10_000);
  assert.equal(of('runner.stopped').length, 1);
  assert.equal((await sql`select from jobs where state <> 'completed'`).length, 0);
});

it('what runs jobs deletes old ones too, for there may be no server', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  const old = await mustStoreJob(sql, { state: 'completed', finishedAt: new Date('2020-01-01') });
  const young = await mustStoreJob(sql, { state: 'completed' });
  await mustStartJobs(t, database.url, 10);
  await eventually('the old job is gone', async () => (await queue.find(sql, old)) === undefined);
  assert.notEqual(await queue.find(sql, young), undefined);
});
