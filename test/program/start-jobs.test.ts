import assert from 'node:assert/strict';
import { it } from 'node:test';
import { taskDefinitions } from '../../src/declarations.ts';
import { sendEmail } from '../../src/features/mails/mails.ts';
import { createQueue } from '../../src/jobs/queue.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustStartJobs } from '../helpers/start-test-jobs.ts';
import { mustStoreJob } from '../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const queue = createQueue({ definitions: taskDefinitions });

it('a job runs in a thread of the program, and stopping waits for it', async (t) => {
  const { sql, url } = await mustOpenTestDatabase(t);
  const payload = { to: 'ada@example.org', subject: 'Hello', body: 'It works.' };
  const { job } = await queue.enqueue(sql, sendEmail, payload);
  const { of, stop } = await mustStartJobs(t, url);
  await eventually('the mail is delivered', () => of('mail.delivered').length > 0);
  await stop(10_000);
  assert.equal(of('runner.stopped').length, 1);
  const done = await queue.find(sql, job.id);
  assert.deepEqual([done?.state, done?.result], ['completed', { status: 'sent', to: 'ada@example.org' }]);
});

it('a process that runs jobs also deletes old jobs, because there may be no server', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  const old = await mustStoreJob(sql, { state: 'completed', finishedAt: new Date('2020-01-01') });
  const young = await mustStoreJob(sql, { state: 'completed' });
  await mustStartJobs(t, database.url, 10);
  await eventually('the old job is gone', async () => (await queue.find(sql, old)) === undefined);
  assert.notEqual(await queue.find(sql, young), undefined);
});
