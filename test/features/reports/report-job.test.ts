import assert from 'node:assert/strict';
import { it } from 'node:test';
import { dailyCounts, taskDefinitions } from '../../../src/declarations.ts';
import { dailyReport } from '../../../src/features/reports/reports.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStartJobs } from '../../helpers/start-test-jobs.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const queue = createQueue({ definitions: taskDefinitions });

it('a thread makes the daily report with the counts of all features, and another job sends its mail', async (t) => {
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
    ...Object.fromEntries(dailyCounts.map(({ name }) => [name, 0])),
    ...{ day: '2026-11-22', new_users: 1, mailed_to: 1 },
    jobs: { completed: 0, failed: 0, cancelled: 0 },
  });
  await stop(10_000);
  assert.equal(of('runner.stopped').length, 1);
  assert.equal((await sql`select from jobs where state <> 'completed'`).length, 0);
});
