/** Tests of the supervision of the jobs process: its start, its replacement, and its stop with the server. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAlive } from '../../src/db/embedded/process.ts';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { sendEmail } from '../../src/features/mails/mails.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import {
  mustFindJobsProcess,
  mustMakeJobFixture,
  processesOf,
  queue,
  runnersOf,
} from '../helpers/job-fixture.ts';
import { mustCopyProgram, startProgram } from '../helpers/program.ts';
import { mustConnect, mustCreateDatabase } from '../helpers/test-database.ts';

test('when the server is killed, the jobs process exits soon after and releases its job', async (t) => {
  const { env, enqueue, isRunning, database } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_WORKERS: '2' });
  const pid = await mustFindJobsProcess(program);
  const id = await enqueue();
  await eventually('the job runs', () => isRunning(id));
  program.process.kill('SIGKILL');
  await eventually('the process has exited', () => !isAlive(pid));
  assert.equal((await queue.find(database.sql, id))?.state, 'available');
});

test('a second signal kills the jobs process too, at once', async (t) => {
  const { env, enqueue, isRunning } = await mustMakeJobFixture(t);
  const program = startProgram(t, env);
  const pid = await mustFindJobsProcess(program);
  const job = await enqueue();
  await eventually('the job runs', () => isRunning(job));
  program.process.kill('SIGTERM');
  await program.logged(/"event":"process.draining"/);
  program.process.kill('SIGTERM');
  assert.equal((await program.ended).code, 143);
  await eventually('the process has exited', () => !isAlive(pid));
});

test('a reload replaces the jobs process, and the old one finishes its job first', async (t) => {
  const { env, acceptMails, enqueue, isRunning, isCompleted, database } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_WORKERS: '2' });
  const pid = await mustFindJobsProcess(program);
  const first = await enqueue();
  await eventually('the job runs', () => isRunning(first));
  program.process.kill('SIGHUP');
  await program.logged(/"job_process":1,.*"event":"process.draining"/);
  const [next] = await runnersOf(program);
  assert.ok(next !== undefined && next !== pid);
  const second = await enqueue();
  await eventually('the new process has a job', () => isRunning(second));
  assert.ok(await isRunning(first));
  acceptMails();
  await program.logged(/"event":"reload.completed"/);
  await eventually('both jobs are completed', async () => (await isCompleted(first)) && isCompleted(second));
  assert.equal((await queue.find(database.sql, first))?.attempt, 1);
  assert.ok(!isAlive(pid));
});

test('a jobs process that is stopped by SIGSTOP is killed, and the next one runs its job', async (t) => {
  const { env, acceptMails, enqueue, isRunning, isCompleted } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_WORKER_TIMEOUT: '3' });
  const pid = await mustFindJobsProcess(program);
  const job = await enqueue();
  await eventually('the job runs', () => isRunning(job));
  process.kill(pid, 'SIGSTOP');
  await program.logged(/"job_process":1,.*"reason":"silent","event":"process.exited"/);
  await program.logged(/"job_process":2,.*"event":"process.ready"/);
  acceptMails();
  await eventually('the job is completed', () => isCompleted(job));
});

test('while migrations are pending, the server answers and jobs wait; afterwards they run', async (t) => {
  const { env, acceptMails } = await mustMakeJobFixture(t);
  acceptMails();
  const url = await mustCreateDatabase(t, { empty: true });
  const program = startProgram(t, { ...env, APP_DATABASE_URL: url, APP_DATABASE_MIGRATE: 'false' });
  await program.logged(/migrations are pending; run `npm run migrate -- up`.*"event":"jobs.waiting"/);
  assert.equal((await fetch(`${await program.ready}/api/v1/meta`)).status, 200);
  await eventually('the jobs process reports while it waits', async () => {
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

test('an error at the first start of the jobs process fails the start of the server', async (t) => {
  const { env } = await mustMakeJobFixture(t);
  const folder = await mustCopyProgram(t, (sources) =>
    writeFile(
      join(sources, 'program', 'start-jobs.ts'),
      `import { StartError } from '../errors.ts';
      export async function startJobs() { throw new StartError('Jobs cannot run here: fix it.'); }`,
    ),
  );
  for (const workers of ['1', '2']) {
    const program = startProgram(t, { ...env, APP_WORKERS: workers }, [], folder);
    assert.equal((await program.ended).code, 1);
    assert.match(program.stderr(), /^Jobs cannot run here: fix it\.$/m);
  }
});
