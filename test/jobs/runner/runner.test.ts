import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import * as z from 'zod';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { Database } from '../../../src/db/database.ts';
import { StartError } from '../../../src/errors.ts';
import type { Job } from '../../../src/jobs/job.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { type RunnerOptions, runnerStopMs, startRunner } from '../../../src/jobs/runner/runner.ts';
import { findJob, insertJob } from '../../../src/jobs/store.ts';
import { defineTask } from '../../../src/jobs/task.ts';
import type { Attempt, Outcome } from '../../../src/jobs/thread/thread-messages.ts';
import type { ThreadPool } from '../../../src/jobs/thread/thread-pool.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { endless, inlinePool, returned } from '../../helpers/inline-pool.ts';
import { metricValue } from '../../helpers/metric-value.ts';
import { mustOpenProxy } from '../../helpers/postgres-proxy.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { sourceArguments } from '../../helpers/source-arguments.ts';
import { mustCreateDatabase, mustOpenTestDatabase } from '../../helpers/test-database.ts';

const echo = defineTask({ name: 'echo', payload: z.unknown(), backoff: { baseMs: 20, maxMs: 20 } });
const wait = defineTask({ name: 'wait', payload: z.unknown(), maxAttempts: 3 });
const definitions = [echo, wait];
const { enqueue, cancel } = createQueue({ definitions });

/** Longer than any test, so nothing in between is found by polling. */
const never = 3_600_000;

type OpenDatabase = Database & { readonly url: string };

async function mustStartRunner(
  t: TestContext,
  { url }: { readonly url: string },
  pool: ThreadPool,
  options: Partial<RunnerOptions> = {},
) {
  const captured = captureLog();
  const metrics = createMetrics();
  const runner = await startRunner({
    ...{ databaseUrl: url, directUrl: url, definitions, pool, version: '1.2.3', log: captured.log, metrics },
    ...options,
  });
  t.after(async () => {
    await runner.stop(0);
  });
  return { runner, metrics, ...captured };
}

async function mustFind({ sql }: Database, id: number): Promise<Job> {
  const job = await findJob(sql, id);
  if (job === undefined) throw new Error(`There is no job ${id}.`);
  return job;
}

async function mustReach(database: Database, id: number, state: Job['state']): Promise<Job> {
  await eventually(`job ${id} is ${state}`, async () => (await mustFind(database, id)).state === state);
  return mustFind(database, id);
}

function failing(message: string, final = false): Outcome {
  return { kind: 'failed', error: { code: 'threw', message }, final };
}

describe('a runner', () => {
  test('a runner runs a job as soon as it is enqueued, without polling, and stores its result', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const pool = inlinePool(2, ({ payload }) => returned({ got: payload }));
    const { of, metrics } = await mustStartRunner(t, database, pool, { pollMs: never });
    const { job } = await enqueue(database.sql, echo, { n: 1 });
    const done = await mustReach(database, job.id, 'completed');
    assert.deepEqual(done.result, { got: { n: 1 } });
    await eventually('it is logged', () => of('job.completed').length === 1);
    const [line] = of('job.completed');
    assert.deepEqual([line?.job_id, line?.task, line?.attempt], [job.id, 'echo', 1]);
    const finished = { task: 'echo', outcome: 'completed' };
    assert.equal(metricValue(metrics.snapshot(), 'jobs_finished_total', finished).sum, 1);
    assert.equal(metricValue(metrics.snapshot(), 'job_wait_seconds', { queue: 'default' }).count, 1);
  });

  test('a runner claims jobs that waited before it started, by priority', async (t) => {
    const database = await mustOpenTestDatabase(t);
    for (const priority of [30, 10, 20]) await enqueue(database.sql, echo, priority, { priority });
    const order: unknown[] = [];
    const pool = inlinePool(1, ({ payload }) => {
      order.push(payload);
      return returned();
    });
    await mustStartRunner(t, database, pool, { pollMs: never });
    await eventually('all have run', () => order.length === 3);
    assert.deepEqual(order, [10, 20, 30]);
  });

  test('a runner runs many short jobs once each, and claims them ahead', async (t) => {
    const database = await mustOpenTestDatabase(t);
    await database.sql`
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
      select 'echo', 'default', 'available', 100, to_jsonb(n), 10, 1000 from generate_series(1, 2000) as n`;
    const seen: unknown[] = [];
    const pool = inlinePool(4, ({ payload }) => {
      seen.push(payload);
      return returned();
    });
    await mustStartRunner(t, database, pool, { pollMs: never });
    await eventually('all are recorded', async () => {
      const rows = await database.sql`select from jobs where state <> 'completed' or attempt <> 1 limit 1`;
      return rows.length === 0;
    });
    assert.equal(seen.length, 2000);
    assert.equal(new Set(seen).size, 2000);
  });

  test('a runner runs a scheduled job when it is due', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const pool = inlinePool(1, () => returned());
    const { job } = await enqueue(database.sql, echo, {}, { runAt: new Date(Date.now() + 300) });
    await mustStartRunner(t, database, pool, { pollMs: never });
    const { startedAt, runAt } = await mustReach(database, job.id, 'completed');
    assert.ok((startedAt?.getTime() ?? 0) >= runAt.getTime());
  });

  test('an idle runner sends one statement per poll', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const proxy = await mustOpenProxy(t, database.url);
    const pollMs = 40;
    await mustStartRunner(t, proxy, inlinePool(1, endless), { pollMs });
    const atStart = proxy.statements();
    await eventually('the start is over', () => proxy.statements() > atStart + 5);
    const [before, startedAt] = [proxy.statements(), performance.now()];
    await eventually('twenty more statements were sent', () => proxy.statements() >= before + 20);
    assert.ok(performance.now() - startedAt > 19 * pollMs * 0.9, 'they took as long as twenty polls');
  });
});

describe('a failed attempt', () => {
  test('a failed attempt is retried after the backoff of its task, until no attempts are left', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const pool = inlinePool(1, ({ attempt }) => failing(`attempt ${attempt}`));
    const { of, metrics } = await mustStartRunner(t, database, pool, { pollMs: never });
    const { job } = await enqueue(database.sql, echo, {}, { maxAttempts: 3 });
    const { errors } = await mustReach(database, job.id, 'failed');
    assert.deepEqual(
      errors.map(({ attempt, code, message }) => [attempt, code, message]),
      [1, 2, 3].map((attempt) => [attempt, 'threw', `attempt ${attempt}`]),
    );
    await eventually('it is logged', () => of('job.failed').length === 1);
    assert.equal(of('job.retry_scheduled').length, 2);
    const failed = { task: 'echo', outcome: 'failed' };
    assert.equal(metricValue(metrics.snapshot(), 'jobs_finished_total', failed).sum, 1);
  });

  test('a failed attempt is the last one if the task refuses the input', async (t) => {
    const database = await mustOpenTestDatabase(t);
    await mustStartRunner(
      t,
      database,
      inlinePool(1, () => failing('no', true)),
      { pollMs: never },
    );
    const { job } = await enqueue(database.sql, echo, {});
    const { attempt } = await mustReach(database, job.id, 'failed');
    assert.equal(attempt, 1);
  });

  test('a job of an unknown task gets a failed attempt, because a newer runner may know the task', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { metrics } = await mustStartRunner(
      t,
      database,
      inlinePool(1, () => returned()),
      { pollMs: never },
    );
    const { job } = await insertJob(database.sql, {
      ...{
        name: 'from_the_future',
        queue: 'default',
        priority: 1,
        payload: '{}',
        uniqueKey: null,
        userId: null,
      },
      ...{
        requestId: null,
        traceparent: null,
        tracestate: null,
        maxAttempts: 5,
        timeoutMs: 1000,
        runAt: null,
      },
    });
    const { errors } = await mustReach(database, job.id, 'scheduled');
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['unknown_task'],
    );
    const unknown = { task: 'unknown', outcome: 'retried' };
    await eventually(
      'the attempt is counted',
      () => metricValue(metrics.snapshot(), 'jobs_finished_total', unknown).sum === 1,
    );
  });

  test('a result that is not JSON fails its attempt and harms no other job', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const gate = createDeferred();
    const pool = inlinePool(5, async ({ payload }) => {
      await gate.promise;
      return { kind: 'returned', result: payload === 'bad' ? '{' : '1' };
    });
    const { runner } = await mustStartRunner(t, database, pool, { pollMs: never });
    const good = await Promise.all([1, 2, 3, 4].map((n) => enqueue(database.sql, echo, n)));
    const bad = await enqueue(database.sql, echo, 'bad');
    await eventually('all run', () => runner.running() === 5);
    gate.resolve();
    const { errors } = await mustReach(database, bad.job.id, 'failed');
    assert.equal(errors[0]?.code, 'invalid_result');
    for (const { job } of good) await mustReach(database, job.id, 'completed');
  });

  test('an attempt that snoozes does not count', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const pool = inlinePool(1, ({ attempt }) =>
      attempt === 1 ? { kind: 'snoozed', delayMs: 20 } : returned(),
    );
    await mustStartRunner(t, database, pool, { pollMs: never });
    const { job } = await enqueue(database.sql, echo, {}, { maxAttempts: 1 });
    const { attempt, maxAttempts } = await mustReach(database, job.id, 'completed');
    assert.deepEqual([attempt, maxAttempts], [2, 2]);
  });
});

describe('cancelling a job', () => {
  test('cancelling a running job aborts it at once', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const pool = inlinePool(1, endless);
    const { runner } = await mustStartRunner(t, database, pool, { pollMs: never });
    const { job } = await enqueue(database.sql, wait, {});
    await eventually('the job runs', () => runner.running() === 1);
    await cancel(database.sql, job.id);
    await mustReach(database, job.id, 'cancelled');
    assert.deepEqual(pool.aborted, [{ id: job.id, reason: 'cancelled' }]);
    assert.equal(runner.running(), 0);
  });

  test('cancelling a running job aborts it at the next poll if the notification is lost', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { runner } = await mustStartRunner(t, database, inlinePool(1, endless), { pollMs: 50 });
    const { job } = await enqueue(database.sql, wait, {});
    await eventually('the job runs', () => runner.running() === 1);
    await database.sql`update jobs set cancel_requested = true where id = ${job.id}`;
    await mustReach(database, job.id, 'cancelled');
  });

  test('a job that was claimed ahead and is cancelled before it gets a thread has no run time', async (t) => {
    const database = await mustOpenTestDatabase(t);
    let attempts = 0;
    const pool = inlinePool(1, () => {
      attempts += 1;
      return attempts === 1 ? Promise.resolve(returned('quick')) : endless();
    });
    await mustStartRunner(t, database, pool, { pollMs: never });
    const { job: quick } = await enqueue(database.sql, wait, {});
    await mustReach(database, quick.id, 'completed');
    const jobs = await database.transaction(async (sql) => [
      (await enqueue(sql, wait, {})).job,
      (await enqueue(sql, wait, {})).job,
    ]);
    const [running, ahead] = jobs.map(({ id }) => id);
    await mustReach(database, running ?? 0, 'running');
    await mustReach(database, ahead ?? 0, 'running');
    await cancel(database.sql, ahead ?? 0);
    const { startedAt, runAt } = await mustReach(database, ahead ?? 0, 'cancelled');
    assert.ok(startedAt !== null && startedAt < runAt);
    assert.deepEqual(pool.aborted, []);
  });
});

test('the progress of a task can be read while it runs', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const pool = inlinePool(1, (_attempt, { progress }) => {
    for (let step = 1; step <= 50; step += 1) progress({ fraction: step / 100, message: `step ${step}` });
    return endless();
  });
  await mustStartRunner(t, database, pool, { pollMs: never });
  const { job } = await enqueue(database.sql, wait, {});
  await eventually(
    'the last progress is stored',
    async () => (await mustFind(database, job.id)).progress === 0.5,
  );
  const { progressMessage, revision } = await mustFind(database, job.id);
  assert.equal(progressMessage, 'step 50');
  assert.ok(revision < 10, 'fifty words were a few writes');
});

describe('a runner that stops', () => {
  test('a stopping runner lets jobs finish within the grace period, and records them', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const gate = createDeferred();
    const pool = inlinePool(1, async () => {
      await gate.promise;
      return returned('late');
    });
    const { runner } = await mustStartRunner(t, database, pool, { pollMs: never });
    const { job } = await enqueue(database.sql, wait, {});
    await eventually('the job runs', () => runner.running() === 1);
    const stopped = runner.stop(60_000);
    assert.equal(runner.isReady(), false);
    gate.resolve();
    await stopped;
    assert.equal((await mustFind(database, job.id)).result, 'late');
    assert.equal((await database.sql`select from job_runners`).length, 0);
  });

  test('a stopping runner releases the other jobs at once, and their attempts do not count', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const pool = inlinePool(1, endless);
    const { runner, of } = await mustStartRunner(t, database, pool, { pollMs: never });
    const { job } = await enqueue(database.sql, wait, {});
    await eventually('the job runs', () => runner.running() === 1);
    await runner.stop(50);
    assert.deepEqual(
      of('job.released').map(({ level, job_id }) => [level, job_id]),
      [['info', job.id]],
    );
    const { state, attempt, maxAttempts, errors } = await mustFind(database, job.id);
    assert.deepEqual([state, attempt, maxAttempts, errors], ['available', 1, 4, []]);
    assert.deepEqual(pool.aborted, [{ id: job.id, reason: 'drain' }]);
    assert.equal((await database.sql`select from job_runners`).length, 0);
  });

  test('a stopping runner does not wait for a hanging poll', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { runner } = await mustStartRunner(t, database, inlinePool(1, endless), { pollMs: 20 });
    const { job } = await enqueue(database.sql, wait, {});
    await eventually('the job runs', () => runner.running() === 1);
    await database.transaction(async (sql) => {
      await sql`lock table job_queues in access exclusive mode`;
      await eventually('a poll hangs', async () => {
        const rows = await sql`
          select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%with promoted%'`;
        return rows.length === 1;
      });
      const startedAt = performance.now();
      await runner.stop(0);
      assert.ok(performance.now() - startedAt < runnerStopMs);
    });
    assert.equal((await mustFind(database, job.id)).state, 'available');
  });

  test('a stopping runner without running jobs does not wait for the grace period', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { runner } = await mustStartRunner(t, database, inlinePool(1, endless), { pollMs: never });
    const startedAt = performance.now();
    await runner.stop(60_000);
    assert.ok(performance.now() - startedAt < 5_000);
  });
});

describe('a runner that loses its session', () => {
  const cutSession = ({ sql }: OpenDatabase, runner: number) => sql`
    select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = ${runner} and granted`;

  test('a runner that loses its session aborts its attempts, gets a new number, and starts the jobs again', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const attempts: Attempt[] = [];
    const pool = inlinePool(1, (attempt) => {
      attempts.push(attempt);
      return attempt.attempt === 1 ? endless() : returned('second');
    });
    const { runner, of } = await mustStartRunner(t, database, pool);
    const { job } = await enqueue(database.sql, wait, {});
    await eventually('the job runs', () => runner.running() === 1);
    const number = runner.id();
    await cutSession(database, number);
    const { result, errors } = await mustReach(database, job.id, 'completed');
    assert.equal(result, 'second');
    assert.deepEqual(
      errors.map(({ attempt, code }) => [attempt, code]),
      [[1, 'runner_lost']],
    );
    assert.deepEqual(pool.aborted, [{ id: job.id, reason: 'lost' }]);
    assert.notEqual(runner.id(), number);
    assert.equal(attempts[1]?.runner, runner.id());
    assert.deepEqual([of('runner.lost').length, of('job.taken_over').length], [1, 1]);
  });

  test('a runner whose connections break repeatedly loses no job and runs none twice at the same time', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const running = new Set<number>();
    const pool = inlinePool(4, async ({ id }, { signal }) => {
      assert.ok(!running.has(id), `job ${id} runs twice`);
      running.add(id);
      signal.addEventListener('abort', () => running.delete(id));
      await new Promise((resolve) => setImmediate(resolve));
      running.delete(id);
      return returned();
    });
    await mustStartRunner(t, database, pool, { pollMs: 100 });
    await database.sql`
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
      select 'echo', 'default', 'available', 100, to_jsonb(n), 100, 1000 from generate_series(1, 3000) as n`;
    const unfinished = async () =>
      (await database.sql<{ count: number }[]>`select count(*) from jobs where state <> 'completed'`)[0]
        ?.count ?? 0;
    await eventually('all are completed', async () => {
      await database.sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'strata-runner' and datname = current_database() and random() < 0.1`;
      return (await unfinished()) < 1000;
    });
    await eventually('the remaining jobs are completed', async () => (await unfinished()) === 0);
  });

  test('a runner whose connections stop responding twice in a row runs its jobs again within seconds', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const proxy = await mustOpenProxy(t, database.url);
    const attempts: Attempt[] = [];
    const pool = inlinePool(1, (attempt) => {
      attempts.push(attempt);
      return attempt.attempt < 3 ? endless() : returned('third');
    });
    const { runner } = await mustStartRunner(t, proxy, pool);
    const { job } = await enqueue(database.sql, wait, {});
    for (const attempt of [1, 2]) {
      await eventually('the job runs', () => attempts.length === attempt);
      proxy.stall();
      const deadAt = performance.now();
      await eventually('the job runs again', () => attempts.length === attempt + 1);
      assert.ok(performance.now() - deadAt < 10_000, `${performance.now() - deadAt} ms`);
    }
    const { state, errors } = await mustReach(database, job.id, 'completed');
    assert.deepEqual([state, errors.map(({ code }) => code)], ['completed', ['runner_lost', 'runner_lost']]);
    assert.deepEqual(
      pool.aborted.map(({ reason }) => reason),
      ['lost', 'lost'],
    );
    proxy.stall();
    const stoppedAt = performance.now();
    await runner.stop(0);
    assert.ok(performance.now() - stoppedAt < runnerStopMs, `${performance.now() - stoppedAt} ms`);
  });
});

test('an idle runner sends less than one statement per second', async (t) => {
  const proxy = await mustOpenProxy(t, (await mustOpenTestDatabase(t)).url);
  await mustStartRunner(
    t,
    proxy,
    inlinePool(1, () => returned()),
  );
  const next = async () => {
    const { statements, at } = { statements: proxy.statements(), at: performance.now() };
    await eventually('a statement is sent', () => proxy.statements() > statements);
    return performance.now() - at;
  };
  // The statements of its start have been sent.
  while ((await next()) < 500);
  const before = { statements: proxy.statements(), at: performance.now() };
  for (let polls = 0; polls < 3; polls += 1) await next();
  const seconds = (performance.now() - before.at) / 1000;
  const asked = proxy.statements() - before.statements;
  assert.ok(asked / seconds < 1, `${asked} statements in ${seconds.toFixed(1)} s`);
});

test('a claim whose answer was lost on the way is released', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const proxy = await mustOpenProxy(t, database.url);
  const { job } = await enqueue(database.sql, echo, {});
  proxy.cutAnswerOf('for key share');
  const { of } = await mustStartRunner(
    t,
    { url: proxy.url },
    inlinePool(1, () => returned()),
    { pollMs: 50 },
  );
  const { attempt, errors } = await mustReach(database, job.id, 'completed');
  assert.equal(of('runner.failed')[0]?.step, 'claim');
  assert.deepEqual([attempt, errors], [2, []]);
});

describe('a runner whose session is in another database', () => {
  const rowsOf = async ({ sql }: Database) => (await sql`select from job_runners`).length;
  const pool = () => inlinePool(1, () => returned());

  test('a runner with its session in another database does not start, names both settings, and leaves no row behind', async (t) => {
    const [here, there] = [await mustOpenTestDatabase(t), await mustOpenTestDatabase(t)];
    const started = mustStartRunner(t, here, pool(), { directUrl: there.url });
    await assert.rejects(started, (error) => {
      assert.ok(error instanceof StartError);
      assert.match(error.message, /APP_TASKS_BROKER_URL and APP_DATABASE_URL lead to different databases/);
      return true;
    });
    assert.equal(await rowsOf(there), 0);
  });

  test('a runner with its session in a database without job tables does not start either', async (t) => {
    const here = await mustOpenTestDatabase(t);
    const directUrl = await mustCreateDatabase(t, { empty: true });
    await assert.rejects(mustStartRunner(t, here, pool(), { directUrl }), StartError);
  });

  test('a runner waits while the database that has the jobs is unreachable, and leaves no rows behind', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { sql } = database;
    const role = `role_${randomBytes(8).toString('hex')}`;
    await sql`create role ${sql(role)} superuser nologin password 'tea'`;
    const through = new URL(database.url);
    through.username = role;
    through.password = 'tea';
    const { runner, of } = await mustStartRunner(t, { url: through.href }, pool(), {
      directUrl: database.url,
    });
    await eventually('it has tried several times', async () => {
      const [row] = await sql<{ last: number }[]>`select last_value as last from job_runner_ids`;
      return (row?.last ?? 0) > 3;
    });
    assert.equal(runner.isReady(), false);
    await sql`alter role ${sql(role)} login`;
    await eventually('it is ready', () => runner.isReady());
    assert.equal(await rowsOf(database), 1);
    assert.equal(of('runner.failed')[0]?.step, 'open a session');
    await runner.stop(0);
    await sql`drop role ${sql(role)}`;
  });
});

test('two runners share the jobs, and each job runs once', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const ran: number[] = [];
  const pools = [1, 2].map(() =>
    inlinePool(2, async ({ id }) => {
      ran.push(id);
      await new Promise((resolve) => setImmediate(resolve));
      return returned();
    }),
  );
  for (const pool of pools) await mustStartRunner(t, database, pool);
  const ids = await Promise.all(
    Array.from({ length: 200 }, async (_, n) => (await enqueue(database.sql, echo, n)).job.id),
  );
  for (const id of ids) await mustReach(database, id, 'completed');
  assert.deepEqual(
    ran.sort((one, other) => one - other),
    ids.sort((one, other) => one - other),
  );
});

describe('a runner in another process', () => {
  async function mustFork(
    t: TestContext,
    url: string,
  ): Promise<{ child: ChildProcess; file: string; text(): string }> {
    const file = join(await mustMakeFolder(t), 'go');
    const program = join(import.meta.dirname, '../../helpers/runner-program.ts');
    const child = spawn(process.execPath, [...sourceArguments(), program, url, file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    t.after(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    return { child, file, text: () => text };
  }

  test('a runner that is killed loses its jobs to another within about a second', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { child } = await mustFork(t, database.url);
    const { job } = await enqueue(database.sql, wait, {});
    await mustReach(database, job.id, 'running');
    await mustStartRunner(
      t,
      database,
      inlinePool(1, () => returned('other')),
    );
    const killedAt = performance.now();
    child.kill('SIGKILL');
    const { result, attempt } = await mustReach(database, job.id, 'completed');
    const tookMs = performance.now() - killedAt;
    assert.deepEqual([result, attempt], ['other', 2]);
    assert.ok(tookMs < 2_500, `it took ${Math.round(tookMs)} ms`);
  });

  test('a runner that was suspended cannot complete a job that another has taken over meanwhile', async (t) => {
    const database = await mustOpenTestDatabase(t);
    const { child, file, text } = await mustFork(t, database.url);
    const { job } = await enqueue(database.sql, wait, {});
    const { runner } = await mustReach(database, job.id, 'running');
    child.kill('SIGSTOP');
    await database.sql`
      select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = ${runner} and granted`;
    const gate = createDeferred();
    await mustStartRunner(
      t,
      database,
      inlinePool(1, async () => {
        await gate.promise;
        return returned('other');
      }),
    );
    await eventually(
      'the other runner has claimed the job',
      async () => (await mustFind(database, job.id)).attempt === 2,
    );
    writeFileSync(file, '');
    child.kill('SIGCONT');
    await eventually('the suspended runner has noticed', () => text().includes('"event":"runner.lost"'));
    assert.equal((await mustFind(database, job.id)).state, 'running');
    gate.resolve();
    const { result, attempt } = await mustReach(database, job.id, 'completed');
    assert.deepEqual([result, attempt], ['other', 2]);
  });
});
