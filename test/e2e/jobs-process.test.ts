/** How the process that runs jobs is supervised: its start, its replacement, and its end with the server. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { sendEmail } from '../../src/features/mails/mails.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import {
  isAlive,
  mustMakeJobFixture,
  mustStartJobs,
  processesOf,
  queue,
  runnersOf,
} from '../helpers/job-fixture.ts';
import { mustCopyProgram, startProgram } from '../helpers/program.ts';
import { mustConnect, mustCreateDatabase } from '../helpers/test-database.ts';

test('when the server is killed, the process of the jobs ends soon after and frees its job', async (t) => {
  const { env, enqueue, isRunning, database } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_WORKERS: '2' });
  const pid = await mustStartJobs(program);
  const id = await enqueue();
  await eventually('the job runs', () => isRunning(id));
  program.process.kill('SIGKILL');
  await eventually('the process is gone', () => !isAlive(pid));
  assert.equal((await queue.find(database.sql, id))?.state, 'available');
});

test('a second signal ends the process of the jobs too, at once', async (t) => {
  const { env, enqueue, isRunning } = await mustMakeJobFixture(t);
  const program = startProgram(t, env);
  const pid = await mustStartJobs(program);
  const job = await enqueue();
  await eventually('the job runs', () => isRunning(job));
  program.process.kill('SIGTERM');
  await program.logged(/"event":"worker.draining"/);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 143);
  await eventually('the process is gone', () => !isAlive(pid));
});

test('a reload puts a new process in the place of the old one, which ends its job first', async (t) => {
  const { env, acceptMails, enqueue, isRunning, isCompleted, database } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_WORKERS: '2' });
  const pid = await mustStartJobs(program);
  const first = await enqueue();
  await eventually('the job runs', () => isRunning(first));
  program.process.kill('SIGHUP');
  await program.logged(/"job_process":1,.*"event":"worker.draining"/);
  const [next] = await runnersOf(program);
  assert.ok(next !== undefined && next !== pid);
  const second = await enqueue();
  await eventually('the new process has a job', () => isRunning(second));
  assert.ok(await isRunning(first));
  acceptMails();
  await program.logged(/"event":"reload.completed"/);
  await eventually('both are completed', async () => (await isCompleted(first)) && isCompleted(second));
  assert.equal((await queue.find(database.sql, first))?.attempt, 1);
  assert.ok(!isAlive(pid));
});

test('a process of the jobs that stands still is killed, and the next one has its job', async (t) => {
  const { env, acceptMails, enqueue, isRunning, isCompleted } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_WORKER_TIMEOUT: '3' });
  const pid = await mustStartJobs(program);
  const job = await enqueue();
  await eventually('the job runs', () => isRunning(job));
  process.kill(pid, 'SIGSTOP');
  await program.logged(/"job_process":1,.*"reason":"silent","event":"worker.exited"/);
  await program.logged(/"job_process":2,.*"event":"worker.ready"/);
  acceptMails();
  await eventually('the job is completed', () => isCompleted(job));
});

test('while migrations are pending the server serves and jobs wait; then they run', async (t) => {
  const { env, acceptMails } = await mustMakeJobFixture(t);
  acceptMails();
  const url = await mustCreateDatabase(t, { empty: true });
  const program = startProgram(t, { ...env, APP_DATABASE_URL: url, APP_DATABASE_MIGRATE: 'false' });
  await program.logged(/migrations are pending; run `npm run migrate -- up`.*"event":"jobs.waiting"/);
  assert.equal((await fetch(`${await program.ready}/api/v1/meta`)).status, 200);
  await eventually('it reports while it waits', async () => {
    return (await processesOf(program)).some(({ kind, rss_bytes }) => kind === 'jobs' && rss_bytes > 0);
  });
  await migrateUp({ url, log: captureLog().log });
  const { sql } = mustConnect(t, { url });
  const mail = { to: 'ada@example.org', subject: 'Hello', body: 'Hello.' };
  const { job } = await queue.enqueue(sql, sendEmail, mail);
  await eventually(
    'the job is completed',
    async () => (await queue.find(sql, job.id))?.state === 'completed',
  );
});

test('what the process of the jobs refuses at its first start ends the start of the server', async (t) => {
  const { env } = await mustMakeJobFixture(t);
  const folder = await mustCopyProgram(t, (sources) =>
    writeFile(
      join(sources, 'program', 'start-jobs.ts'),
      `import { StartError } from '../errors.ts';
      export async function startJobs() { throw new StartError('Jobs cannot be run here: mend it.'); }`,
    ),
  );
  for (const workers of ['1', '2']) {
    const program = startProgram(t, { ...env, APP_WORKERS: workers }, [], folder);
    assert.equal((await program.ended).code, 1);
    assert.match(program.stderr(), /^Jobs cannot be run here: mend it\.$/m);
  }
});
