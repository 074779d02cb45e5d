/** Tests that every process has exited within the grace time and one second after SIGTERM, whatever it waits for. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { Sql } from '../../src/db/sql.ts';
import { eventually } from '../helpers/eventually.ts';
import { request } from '../helpers/http-client.ts';
import { insertFeature } from '../helpers/insert-feature.ts';
import { mustFindJobsProcess, mustMakeJobFixture, processesOf } from '../helpers/job-fixture.ts';
import { mustOpenProxy } from '../helpers/postgres-proxy.ts';
import {
  mustCopyProgram,
  mustMakeFolder,
  type Program,
  spawnUnread,
  startProgram,
  startWorkerProgram,
} from '../helpers/program.ts';
import { watchRunDelay } from '../helpers/run-delay.ts';
import { mustCreateDatabase, mustOpenTestDatabase } from '../helpers/test-database.ts';

const graceSeconds = 1;
/** The guarantee is one second, in which the processes get a processor when they need it. */
const maxMs = graceSeconds * 1000 + 3_000;
const base = { APP_SHUTDOWN_GRACE_SECONDS: String(graceSeconds), APP_MANAGEMENT_PORT: '0' };

/** Sends SIGTERM, and fails the test if the process or one of its children still runs after the time. */
async function mustStop(t: TestContext, child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  const pids = [child.pid ?? 0, ...childrenOf(child.pid ?? 0)];
  t.after(() => {
    for (const pid of pids) if (!hasEnded(pid)) process.kill(pid, 'SIGKILL');
  });
  const delay = watchRunDelay(pids);
  const startedAt = performance.now();
  child.kill('SIGTERM');
  await ended;
  await eventually('its children have exited', () => pids.every((pid) => hasEnded(pid)));
  const tookMs = Math.round(performance.now() - startedAt);
  const delayMs = Math.round(delay.stop());
  const times = `${tookMs} ms, of which its threads waited ${delayMs} ms for a processor`;
  assert.ok(tookMs <= maxMs + delayMs, times);
  t.diagnostic(times);
}

function stop(t: TestContext, program: Program): Promise<void> {
  return mustStop(t, program.process, program.ended);
}

/** Returns whether a process has exited, including a zombie, which is not reaped yet. */
function hasEnded(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text
    .split(' ')
    .filter((each) => each !== '')
    .map(Number);
}

describe('at SIGTERM', { concurrency: 2 }, () => {
  const kinds = [
    ['a single process', 'main', { APP_WORKERS: '1', APP_TASKS_ENABLED: 'false' }],
    ['a primary with two workers', 'main', { APP_WORKERS: '2', APP_TASKS_ENABLED: 'false' }],
    ['`npm run worker`', 'main-jobs', {}],
  ] as const;

  for (const [what, name, env] of kinds) {
    for (const output of ['a pipe', 'a socket'] as const) {
      test(`at SIGTERM ${what} does not wait for the reader of ${output} that has stopped reading`, async (t) => {
        const databaseUrl = name === 'main-jobs' ? await mustCreateDatabase(t) : 'none';
        const full = output === 'a pipe' ? await mustFillPipe(t) : undefined;
        const settings = { ...base, ...env, APP_DATABASE_URL: databaseUrl, APP_LOG_LEVEL: 'DEBUG' };
        const child = spawnUnread(name, settings, full);
        const ended = once(child, 'exit');
        const greeting = await greetingOf(child);
        if (output === 'a socket') await logMuch(greeting, name);
        await mustStop(t, child, ended);
      });
    }
  }

  for (const workers of ['1', '2']) {
    test(`at SIGTERM an incomplete request is aborted, with ${workers} workers`, async (t) => {
      const program = startProgram(t, { ...base, APP_WORKERS: workers });
      const socket = connect(Number(new URL(await program.ready).port), '127.0.0.1');
      t.after(() => socket.destroy());
      socket.on('error', () => {});
      socket.write('POST /api/v1/users HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n');
      socket.write('Content-Type: application/json\r\n\r\n{"username":');
      await eventually('the request is in progress', async () => {
        return (await processesOf(program)).some((row) => 'in_flight' in row && row.in_flight === 1);
      });
      await stop(t, program);
    });

    test(`at SIGTERM a database that does not answer delays nothing, with ${workers} workers`, async (t) => {
      const proxy = await mustOpenProxy(t, await mustCreateDatabase(t));
      const env = { ...base, APP_WORKERS: workers, APP_DATABASE_URL: proxy.url, APP_TASKS_ENABLED: 'true' };
      const program = startProgram(t, env);
      const port = Number(new URL(await program.ready).port);
      await mustFindJobsProcess(program);
      const login = () =>
        request(port, {
          ...{ method: 'POST', path: '/api/v1/auth/login', headers: { 'content-type': 'application/json' } },
          body: JSON.stringify({ username: 'ada', password: 'a wrong password' }),
        }).catch(() => undefined);
      assert.equal((await login())?.status, 401);
      proxy.block();
      void login();
      await eventually('the request is in progress', async () => {
        return (await processesOf(program)).some((row) => 'in_flight' in row && row.in_flight === 1);
      });
      await stop(t, program);
    });
  }

  test('at SIGTERM a worker stopped by SIGSTOP is killed', async (t) => {
    const program = startProgram(t, { ...base, APP_WORKERS: '2' });
    await program.ready;
    const [worker] = (await processesOf(program)).filter(({ kind }) => kind === 'requests');
    process.kill(worker?.pid ?? 0, 'SIGSTOP');
    await stop(t, program);
  });

  test('at SIGTERM a mail server that does not answer delays neither the server nor its jobs', async (t) => {
    const { env, enqueue, isRunning } = await mustMakeJobFixture(t);
    const program = startProgram(t, { ...env, ...base });
    await mustFindJobsProcess(program);
    const job = await enqueue();
    await eventually('the job runs', () => isRunning(job));
    const body = JSON.stringify({
      username: 'ada',
      email: 'ada@example.org',
      password: 'correct horse battery',
    });
    await request(Number(new URL(await program.ready).port), {
      ...{ method: 'POST', path: '/api/v1/users', body, headers: { 'content-type': 'application/json' } },
    });
    await stop(t, program);
  });

  for (const alone of [false, true]) {
    test(`at SIGTERM a job that ignores its abort signal is released by ${alone ? '`npm run worker`' : 'a server'}`, async (t) => {
      const database = await mustOpenTestDatabase(t);
      const folder = await mustCopyProgram(t, addEndlessTask);
      const env = {
        ...base,
        APP_DATABASE_URL: database.url,
        APP_TASKS_ENABLED: 'true',
        APP_TASKS_THREADS: '1',
      };
      const program = alone ? startWorkerProgram(t, env, folder) : startProgram(t, env, [], folder);
      await program.logged(/"event":"runner.started"/);
      await database.sql`
        insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
        values ('endless', 'default', 'available', 100, '{}', 3, 600000)`;
      const { sql } = database;
      const running = () => sql`select from jobs where state = 'running'`;
      await eventually('the job runs', async () => (await running()).length === 1);
      await stop(t, program);
      assert.equal((await sql`select from jobs where ${isGivenBack(sql)}`).length, 1);
    });
  }
});

/** Returns whether a job may run again, and its aborted attempt does not count. */
function isGivenBack(sql: Sql) {
  return sql`state = 'available' and attempt = 1 and errors = '[]'`;
}

/** Opens the writing end of a full pipe without a reader. */
async function mustFillPipe(t: TestContext): Promise<number> {
  const path = join(await mustMakeFolder(t), 'pipe');
  execFileSync('mkfifo', [path]);
  const filling = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(filling, Buffer.alloc(4096, 'x'));
  } catch {
    // The pipe is full.
  }
  const unread = openSync(path, constants.O_RDWR);
  t.after(async () => {
    closeSync(filling);
    closeSync(unread);
  });
  return unread;
}

/** Resolves with the greeting of the program when it is ready. */
async function greetingOf(child: ChildProcess): Promise<string> {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  await eventually('the program is ready', () => text.includes('Stop') || child.exitCode !== null);
  assert.equal(child.exitCode, null, text);
  return text;
}

/** Causes more log output than the buffers of a socket hold. */
async function logMuch(greeting: string, name: string): Promise<void> {
  const url = (name === 'main' ? /API +(\S+)/ : /Management +(\S+)/).exec(greeting)?.[1] ?? '';
  const port = Number(new URL(url).port);
  const path = name === 'main' ? `/api/v1/meta?${'x'.repeat(1_500)}` : `/jobs/${'x'.repeat(1_500)}`;
  for (let round = 0; round < 30; round += 1) {
    await Promise.all(Array.from({ length: 20 }, () => request(port, { path }).catch(() => undefined)));
  }
}

/** Adds a task that never yields to a copy of the sources. */
function addEndlessTask(sources: string): Promise<void> {
  return insertFeature(
    sources,
    'endless',
    `import * as z from 'zod';
     import { defineTask, implementTask } from '../../jobs/task.ts';
     const definition = defineTask({ name: 'endless', payload: z.unknown() });
     const create = () => implementTask(definition, () => { for (;;); });
     export const endless = { name: 'endless', tasks: [{ definition, create }] };
    `,
  );
}
