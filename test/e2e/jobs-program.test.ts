/** Tests of `npm run worker`, which runs jobs without a server, or beside one that runs none. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { metricsOf, mustMakeJobFixture, processesOf } from '../helpers/job-fixture.ts';
import { startProgram, startWorkerProgram } from '../helpers/program.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

test('with APP_TASKS_ENABLED=false the server runs no jobs, and `npm run worker` runs them', async (t) => {
  const { env, acceptMails, enqueue, isCompleted } = await mustMakeJobFixture(t);
  acceptMails();
  const server = startProgram(t, { ...env, APP_TASKS_ENABLED: 'false' });
  await server.ready;
  const job = await enqueue();
  const worker = startWorkerProgram(t, { ...env, APP_TASKS_ENABLED: 'false' });
  await eventually('the job is completed', () => isCompleted(job));
  assert.deepEqual(
    (await processesOf(server)).map(({ kind }) => kind),
    ['requests'],
  );
  const port = Number(new URL(await worker.management).port);
  await eventually(
    'the process is ready',
    async () => (await request(port, { path: '/readyz' })).status === 200,
  );
  assert.equal((await request(port, { path: '/livez' })).status, 200);
  assert.deepEqual(
    (await processesOf(worker)).map(({ kind, pid }) => [kind, pid]),
    [['jobs', worker.process.pid]],
  );
  await eventually('the job is counted', async () =>
    /^jobs_finished_total\{.*task="send_email".*\} 1$/m.test(await metricsOf(worker)),
  );
  worker.process.kill('SIGTERM');
  assert.deepEqual(await worker.ended, { code: 0, signal: null });
});

test('at SIGTERM `npm run worker` lets its jobs finish, and is not ready meanwhile', async (t) => {
  const { env, acceptMails, enqueue, isRunning, isCompleted } = await mustMakeJobFixture(t);
  const worker = startWorkerProgram(t, env);
  const job = await enqueue();
  await eventually('the job runs', () => isRunning(job));
  const port = Number(new URL(await worker.management).port);
  worker.process.kill('SIGTERM');
  await eventually(
    'the process is not ready',
    async () => (await request(port, { path: '/readyz' })).status === 503,
  );
  assert.equal((await request(port, { path: '/livez' })).status, 200);
  acceptMails();
  assert.deepEqual(await worker.ended, { code: 0, signal: null });
  assert.ok(await isCompleted(job));
});

test('`npm run worker` uses the embedded database of a running server, also after that has restarted', async (t) => {
  const { env } = await mustMakeJobFixture(t);
  const embedded = { ...env, APP_DATABASE_URL: 'embedded', APP_TASKS_ENABLED: 'false' };
  const server = startProgram(t, embedded);
  await server.ready;
  const worker = startWorkerProgram(t, embedded);
  const port = Number(new URL(await worker.management).port);
  const isReady = async () => (await request(port, { path: '/readyz' })).status === 200;
  await eventually('the process is ready', isReady);
  server.process.kill('SIGTERM');
  await server.ended;
  await eventually('the process is not ready', async () => !(await isReady()));
  await startProgram(t, embedded).ready;
  await eventually('the process is ready again', isReady);
});

const rejections = [
  {
    what: 'no database',
    env: { APP_DATABASE_URL: 'none' },
    message: /^Jobs need a database: set APP_DATABASE_URL/,
  },
  {
    what: 'a database that does not answer',
    env: { APP_DATABASE_URL: 'postgres://strata:hunter2@127.0.0.1:1/strata' },
    message:
      /^The database does not answer: .*APP_DATABASE_URL in the environment \(.*ECONNREFUSED 127\.0\.0\.1:1\)\.$/m,
  },
];

for (const { what, env, message } of rejections) {
  test(`with ${what} \`npm run worker\` exits with a sentence and code 1`, async (t) => {
    const worker = startWorkerProgram(t, env);
    assert.equal((await worker.ended).code, 1);
    assert.match(worker.stderr(), message);
    assert.doesNotMatch(worker.stderr(), /\n {4}at |hunter2/);
  });
}

test('with pending migrations `npm run worker` exits with a sentence and code 1', async (t) => {
  const url = await mustCreateDatabase(t, { empty: true });
  const worker = startWorkerProgram(t, { APP_DATABASE_URL: url, APP_DATABASE_MIGRATE: 'false' });
  assert.equal((await worker.ended).code, 1);
  assert.match(worker.stderr(), /^\d+ migrations are pending; run `npm run migrate -- up`\.$/m);
});
