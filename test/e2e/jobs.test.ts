/** Tests of the jobs process of a server, with real processes, PostgreSQL, and a mail server that can delay its answers. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { findRunningEmbedded } from '../../src/db/embedded/embedded.ts';
import { isAlive } from '../../src/db/embedded/process.ts';
import { sendEmail } from '../../src/features/mails/mails.ts';
import { eventually } from '../helpers/eventually.ts';
import {
  metricsOf,
  mustFindJobsProcess,
  mustMakeJobFixture,
  processesOf,
  queue,
} from '../helpers/job-fixture.ts';
import { mustMakeFolder, startProgram } from '../helpers/program.ts';
import { mustConnect } from '../helpers/test-database.ts';

for (const workers of ['1', '2']) {
  describe(`with ${workers} workers`, () => {
    const openFixture = (t: TestContext) =>
      mustMakeJobFixture(t).then((made) => ({ ...made, env: { ...made.env, APP_WORKERS: workers } }));

    test('a job runs in the jobs process, whose report and metrics are part of the fleet', async (t) => {
      const { env, acceptMails, enqueue, isCompleted, mails } = await openFixture(t);
      acceptMails();
      const program = startProgram(t, env);
      const pid = await mustFindJobsProcess(program);
      const job = await enqueue();
      await eventually('the job is completed', () => isCompleted(job));
      assert.equal(mails.received.length, 1);

      const rows = await processesOf(program);
      assert.equal(rows.filter(({ kind }) => kind === 'requests').length, Number(workers));
      assert.ok(rows.every((row) => row.kind === 'jobs' || row.pid !== pid));
      // A busy process may miss a collection.
      let metrics = '';
      await eventually('its metrics are collected', async () => {
        metrics = await metricsOf(program);
        return /^jobs_finished_total\{.*task="send_email".*\} 1$/m.test(metrics);
      });
      assert.match(metrics, /^process_resident_memory_bytes\{worker="jobs"\} [1-9]/m);
      assert.match(metrics, /^job_process_ready 1$/m);
      assert.match(program.stderr(), /Management +http:\/\/127\.0\.0\.1:\d+ \(jobs/);
    });

    test('at SIGTERM a running job may finish, and no other starts', async (t) => {
      const { env, acceptMails, enqueue, isRunning, isCompleted, database } = await openFixture(t);
      const program = startProgram(t, env);
      const pid = await mustFindJobsProcess(program);
      const first = await enqueue();
      await eventually('the job runs', () => isRunning(first));
      // A terminal sends its signals to every process.
      process.kill(pid, 'SIGINT');
      program.process.kill('SIGTERM');
      await program.logged(/"job_process":1,.*"event":"process.draining"/);
      const second = await enqueue();
      assert.ok(await isRunning(first));
      acceptMails();
      assert.deepEqual(await program.ended, { code: 0, signal: null });
      assert.ok(await isCompleted(first));
      assert.equal((await queue.find(database.sql, second))?.state, 'available');
      assert.ok(!isAlive(pid));
    });

    test('at SIGTERM running jobs finish before the embedded database stops', async (t) => {
      const { env, acceptMails } = await openFixture(t);
      const folder = await mustMakeFolder(t);
      const program = startProgram(t, { ...env, APP_DATABASE_URL: 'embedded', APP_DATA_DIR: folder });
      await mustFindJobsProcess(program);
      const url = await findRunningEmbedded(join(folder, 'postgres'));
      const { sql, close } = mustConnect(t, { url: url ?? null });
      const mail = { to: 'ada@example.org', subject: 'Hello', body: 'Hello.' };
      const { job } = await queue.enqueue(sql, sendEmail, mail);
      await eventually('the job runs', async () => (await queue.find(sql, job.id))?.state === 'running');
      await close(1);
      program.process.kill('SIGTERM');
      await program.logged(/"job_process":1,.*"event":"process.draining"/);
      acceptMails();
      assert.deepEqual(await program.ended, { code: 0, signal: null });
      const order = [
        /"event":"job.completed"/,
        /"event":"runner.stopped"/,
        /"job_process":1,.*"code":0,.*"event":"process.exited"/,
        /"event":"database.embedded.stopped"/,
      ].map((pattern) => program.stdout().search(pattern));
      assert.ok(!order.includes(-1));
      assert.deepEqual(
        order,
        order.toSorted((one, other) => one - other),
      );
      assert.doesNotMatch(program.stdout(), /"event":"application.failed"/);
    });
  });
}

test('a job whose process is killed runs again in the next one, and the server keeps running', async (t) => {
  const { env, acceptMails, enqueue, isRunning, isCompleted, database } = await mustMakeJobFixture(t);
  const program = startProgram(t, env);
  const pid = await mustFindJobsProcess(program);
  const job = await enqueue();
  await eventually('the job runs', () => isRunning(job));
  process.kill(pid, 'SIGKILL');
  await program.logged(/"job_process":2,.*"event":"process.ready"/);
  acceptMails();
  await eventually('the job is completed', () => isCompleted(job));
  assert.equal((await queue.find(database.sql, job))?.attempt, 2);
  assert.match(await metricsOf(program), /^job_process_restarts_total\{reason="crashed"\} 1$/m);
  assert.equal((await fetch(`${await program.ready}/api/v1/meta`)).status, 200);
});

test('a job that does not finish within the grace time is released, and the attempt does not count', async (t) => {
  const { env, enqueue, isRunning, database } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_SHUTDOWN_GRACE_SECONDS: '1' });
  await mustFindJobsProcess(program);
  const id = await enqueue();
  await eventually('the job runs', () => isRunning(id));
  program.process.kill('SIGTERM');
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  const job = await queue.find(database.sql, id);
  assert.deepEqual(
    [job?.state, job?.errors],
    ['available', []],
    `${JSON.stringify(job)}\n${program.stdout()}`,
  );
  assert.equal((job?.maxAttempts ?? 0) - (job?.attempt ?? 0), sendEmail.maxAttempts);
});
