import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import * as z from 'zod';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { Database } from '../../../src/db/database.ts';
import type { Sql } from '../../../src/db/sql.ts';
import { pauseQueue } from '../../../src/jobs/admin/operations.ts';
import type { Job, JobState } from '../../../src/jobs/job.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { startRunner } from '../../../src/jobs/runner/runner.ts';
import { findJob } from '../../../src/jobs/store.ts';
import { defineTask } from '../../../src/jobs/task.ts';
import type { Outcome } from '../../../src/jobs/thread/thread-messages.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { inlinePool, returned } from '../../helpers/inline-pool.ts';
import { mustOpenProxy } from '../../helpers/postgres-proxy.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const task = defineTask({
  name: 'echo',
  payload: z.number(),
  backoff: { baseMs: 3_600_000, maxMs: 3_600_000 },
});
const { enqueue, cancel } = createQueue({ definitions: [task] });

const failing: Outcome = { kind: 'failed', error: { code: 'threw', message: 'No.' }, final: false };
const snoozing: Outcome = { kind: 'snoozed', delayMs: 3_600_000 };
const stopped: Outcome = { kind: 'aborted', reason: 'cancelled' };
const given: Outcome = { kind: 'aborted', reason: 'drain' };

/** Starts a runner with one running job per outcome; `end` finishes each with its outcome. */
async function mustRun(t: TestContext, outcomes: readonly Outcome[], pollMs = 3_600_000) {
  const database = await mustOpenTestDatabase(t);
  const proxy = await mustOpenProxy(t, database.url);
  const gate = createDeferred();
  const captured = captureLog();
  const pool = inlinePool(Math.max(1, outcomes.length), async ({ payload }) => {
    await gate.promise;
    return outcomes[Number(payload)] ?? returned();
  });
  const runner = await startRunner({
    ...{ databaseUrl: proxy.url, directUrl: database.url, definitions: [task], pool, version: '1.2.3' },
    ...{ log: captured.log, metrics: createMetrics(), pollMs },
  });
  t.after(() => runner.stop(0));
  const ids: number[] = [];
  for (const index of outcomes.keys()) ids.push((await enqueue(database.sql, task, index)).job.id);
  await eventually('all run', () => runner.running() === outcomes.length);
  return { database, proxy, runner, ids, end: gate.resolve, of: captured.of };
}

async function mustFind({ sql }: Database, id: number | undefined): Promise<Job> {
  const job = id === undefined ? undefined : await findJob(sql, id);
  if (job === undefined) throw new Error(`There is no job ${id}.`);
  return job;
}

async function mustReach(database: Database, id: number | undefined, state: JobState): Promise<Job> {
  await eventually(`job ${id} is ${state}`, async () => (await mustFind(database, id)).state === state);
  return mustFind(database, id);
}

/**
 * Makes PostgreSQL reject every statement that finishes an attempt, with this SQLSTATE, until the returned function is
 * called.
 */
async function mustRejectWrites({ sql }: Database, sqlState: string): Promise<() => Promise<void>> {
  await sql.unsafe(`
    create function reject_update() returns trigger language plpgsql as
    $$ begin raise exception 'Not now.' using errcode = '${sqlState}'; end $$`);
  await sql`
    create trigger reject_update before update of state on jobs
    for each row when (old.state = 'running' and new.state <> 'running') execute function reject_update()`;
  return async () => {
    await sql`drop trigger reject_update on jobs`;
  };
}

describe('an attempt whose outcome PostgreSQL rejects', () => {
  for (const [reason, sqlState] of [
    ['a lock time-out', '55P03'],
    ['a read-only server', '25006'],
    ['a full disk', '53100'],
    ['a lack of memory', '53200'],
    ['a read error', '58030'],
    ['an internal error', 'XX000'],
  ] as const) {
    test(`an outcome is recorded unchanged after ${reason}`, async (t) => {
      const outcomes = [returned('done'), failing, snoozing, stopped, given];
      const { database, ids, end, of } = await mustRun(t, outcomes);
      const allowWrites = await mustRejectWrites(database, sqlState);
      end();
      await eventually('a write was tried', () => of('runner.failed').some(({ step }) => step === 'record'));
      await cancel(database.sql, ids[4] ?? 0);
      await allowWrites();
      const ended: [number, unknown, string[]][] = [];
      for (const [index, state] of (
        ['completed', 'scheduled', 'scheduled', 'cancelled', 'cancelled'] as const
      ).entries()) {
        const { attempt, result, errors } = await mustReach(database, ids[index], state);
        ended.push([attempt, result, errors.map(({ code }) => code)]);
      }
      assert.deepEqual(ended, [
        [1, 'done', []],
        [1, null, ['threw']],
        [1, null, []],
        [1, null, []],
        [1, null, []],
      ]);
      assert.deepEqual(of('job.lost'), []);
    });
  }

  test('an attempt whose result can never be stored has failed', async (t) => {
    const { database, ids, end } = await mustRun(t, [{ kind: 'returned', result: '{' }, returned('done')]);
    end();
    const { errors } = await mustReach(database, ids[0], 'failed');
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['invalid_result'],
    );
    await mustReach(database, ids[1], 'completed');
  });

  test('an attempt whose error can never be stored has failed with a substitute error, and counts', async (t) => {
    const error = { code: 'threw', message: 'Refused by the constraint.' } as const;
    const { database, ids, end } = await mustRun(t, [{ kind: 'failed', error, final: false }]);
    await database.sql`
      alter table jobs add constraint no_such_fault check (errors::text not like '%Refused by the constraint%')`;
    end();
    const { attempt, maxAttempts, errors } = await mustReach(database, ids[0], 'scheduled');
    assert.deepEqual([attempt, maxAttempts], [1, task.maxAttempts]);
    assert.match(errors[0]?.message ?? '', /could not be recorded/);
  });

  test('an attempt keeps its error without details that cannot be serialised', async (t) => {
    let details: unknown = [];
    for (let depth = 0; depth < 50_000; depth += 1) details = [details];
    const error = { code: 'refused', message: 'Too deep.', details } as const;
    const { database, ids, end } = await mustRun(t, [{ kind: 'failed', error, final: true }]);
    end();
    const { errors } = await mustReach(database, ids[0], 'failed');
    assert.deepEqual(
      errors.map(({ message }) => message),
      ['Too deep.'],
    );
  });
});

describe('an outcome whose confirmation was lost on the way', () => {
  for (const [outcome, statement, event] of [
    [returned('done'), 'as done (id, attempt, result)', 'job.completed'],
    [failing, 'with ended as', 'job.retry_scheduled'],
    [given, 'as given (id, attempt)', 'job.released'],
  ] as const) {
    test(`an outcome whose confirmation was lost is read from the table: ${event}`, async (t) => {
      const { database, proxy, end, of } = await mustRun(t, [outcome]);
      // A released job can be claimed at once and then belongs to another attempt, so this one cannot be found.
      await pauseQueue(database.sql, task.queue);
      proxy.cutAnswerOf(statement);
      end();
      await eventually('the outcome is logged', () => of(event).length > 0);
      assert.deepEqual(of('job.lost'), []);
    });
  }
});

describe('a row that another transaction has locked', () => {
  const whileHeld = ({ transaction }: Database, id: number | undefined, work: (sql: Sql) => Promise<void>) =>
    transaction(async (sql) => {
      await sql`select from jobs where id = ${id ?? 0} for update`;
      await work(sql);
    });

  for (const [outcome, state] of [
    [returned('done'), 'completed'],
    [failing, 'scheduled'],
    [snoozing, 'scheduled'],
    [stopped, 'cancelled'],
  ] as const) {
    test(`a locked row does not delay other jobs, and is written when it is unlocked: ${outcome.kind}`, async (t) => {
      const outcomes = [outcome, outcome, outcome, outcome, outcome];
      const { database, ids, end, of } = await mustRun(t, outcomes);
      await database.transaction(async (sql) => {
        const [free, held] = [ids.at(-1), ids.slice(0, -1)];
        await sql`select from jobs where id = any(${held}) for update`;
        end();
        await mustReach(database, free, state);
        for (const id of held) assert.equal((await mustFind(database, id)).state, 'running');
      });
      for (const id of ids) assert.equal((await mustReach(database, id, state)).attempt, 1);
      assert.deepEqual(of('job.lost'), []);
    });
  }

  test('a job that belongs to another attempt when its row is unlocked is lost, and nothing is written to it', async (t) => {
    const { database, runner, ids, end, of } = await mustRun(t, [returned('done')]);
    await whileHeld(database, ids[0], async (sql) => {
      end();
      await eventually('the attempt has ended', () => runner.running() === 0);
      await sql`update jobs set attempt = attempt + 1, started_at = now() where id = ${ids[0] ?? 0}`;
    });
    await eventually('the job is lost', () => of('job.lost').length === 1);
    const { state, attempt } = await mustFind(database, ids[0]);
    assert.deepEqual([state, attempt], ['running', 2]);
  });
});

describe('an orphan: a job that is running in the table without an attempt in its runner', () => {
  test('an orphan is released by the next poll, and the attempt does not count', async (t) => {
    const { database, runner, end, of } = await mustRun(t, [], 50);
    end();
    const runAt = new Date(Date.now() + 3_600_000);
    const { job } = await enqueue(database.sql, task, 0, { runAt });
    await database.sql`
      update jobs set state = 'running', attempt = 1, started_at = now(), runner = ${runner.id()}
      where id = ${job.id}`;
    const { attempt, maxAttempts } = await mustReach(database, job.id, 'completed');
    assert.deepEqual([attempt, maxAttempts], [2, job.maxAttempts + 1]);
    assert.deepEqual(
      of('job.released').map(({ job_id, attempt }) => [job_id, attempt]),
      [[job.id, 1]],
    );
  });

  test('an orphan is released while all threads are busy, and can be cancelled', async (t) => {
    const { database, runner, of } = await mustRun(t, [returned()], 50);
    const { job } = await enqueue(database.sql, task, 0);
    await database.sql`
      update jobs set state = 'running', attempt = 1, started_at = now(), runner = ${runner.id()}
      where id = ${job.id}`;
    await cancel(database.sql, job.id);
    await mustReach(database, job.id, 'cancelled');
    assert.equal(runner.running(), 1);
    assert.equal(of('job.released').length, 1);
  });
});
