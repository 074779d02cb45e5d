import assert from 'node:assert/strict';
import { after, beforeEach, describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import { columnTypes } from '../../../src/db/driver/column-types.ts';
import type { Sql } from '../../../src/db/sql.ts';
import { pauseQueue } from '../../../src/jobs/admin/operations.ts';
import {
  type Completion,
  claimJobs,
  completeInTransaction,
  completeJobs,
  markTransaction,
} from '../../../src/jobs/attempt-store.ts';
import {
  pollSession,
  registerRunner,
  takeOver,
  unregisterRunner,
} from '../../../src/jobs/runner/runner-store.ts';
import { cancelJob, findJob, insertJob } from '../../../src/jobs/store.ts';
import { eventually } from '../../helpers/eventually.ts';
import { newJob } from '../../helpers/new-job.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';

const database = await mustOpenTestDatabase({ after }, { poolSize: 10 });
const { sql, transaction } = database;
const queues = ['default'];

beforeEach(() => sql`truncate jobs, job_runners, job_queues`);

/** A runner with a session of its own; `die` closes the session as if its process had died. */
async function mustRegister(t: TestContext) {
  const session = postgres(database.url, {
    max: 1,
    fetch_types: false,
    types: columnTypes,
    onnotice: () => {},
  });
  t.after(() => session.end({ timeout: 0 }));
  const runner = await registerRunner(session, { host: 'test', pid: 1, version: '0.0.0', threads: 2 });
  const die = async () => {
    await session.end({ timeout: 0 });
    await eventually('its lock is free', async () => {
      const [row] =
        await sql`select count(*) as held from pg_locks where locktype = 'advisory' and objid = ${runner}`;
      return row?.held === 0;
    });
  };
  return { session, runner, die };
}

const poll = (session: Sql, runner: number) => pollSession(session, { runner, queues });
const over = (runner: number) => transaction((tx) => takeOver(tx, runner));
const isRegistered = async (runner: number) =>
  (await sql`select from job_runners where id = ${runner}`).length === 1;

/** Resolves when a statement in this database waits for a lock. */
function someoneWaits(): Promise<void> {
  return eventually('a statement waits for a lock', async () => {
    const rows = await sql`
      select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    return rows.length > 0;
  });
}

async function completeMarked(tx: Sql, completion: Completion): Promise<boolean> {
  await markTransaction(tx, completion);
  return completeInTransaction(tx, completion);
}

async function mustRun(runner: number, facts = {}) {
  const { job } = await insertJob(sql, newJob(facts));
  const [claimed] = await claimJobs(sql, { runner, queues, limit: 1, suspects: 1 });
  assert.equal(claimed?.id, job.id);
  return { id: job.id, attempt: 1, runner };
}

describe('a runner', () => {
  it('a runner is dead for others once its session has ended, and not before', async (t) => {
    const first = await mustRegister(t);
    const second = await mustRegister(t);
    assert.notEqual(first.runner, second.runner);
    assert.deepEqual((await poll(second.session, second.runner)).deadRunners, []);
    await first.die();
    assert.deepEqual((await poll(second.session, second.runner)).deadRunners, [first.runner]);
  });

  it('a runner that was taken over claims nothing, not even by a claim in progress', async (t) => {
    const { runner, die } = await mustRegister(t);
    await insertJob(sql, newJob());
    await die();
    const { claim } = await transaction(async (tx) => {
      await takeOver(tx, runner);
      const claim = claimJobs(sql, { runner, queues, limit: 1, suspects: 1 });
      await someoneWaits();
      return { claim };
    });
    assert.deepEqual(await claim, []);
    assert.deepEqual(await claimJobs(sql, { runner, queues, limit: 1, suspects: 1 }), []);
  });

  it('a runner that unregisters keeps its row while it has a job', async (t) => {
    const { runner, session } = await mustRegister(t);
    const own = await mustRun(runner);
    await unregisterRunner(session, { runner });
    assert.equal(await isRegistered(runner), true);
    await completeJobs(sql, { runner, done: [{ ...own, result: null }] });
    await unregisterRunner(session, { runner });
    assert.equal(await isRegistered(runner), false);
  });
});

describe('a poll', () => {
  it('a poll makes due jobs available, and returns when the next one is due', async (t) => {
    const { session, runner } = await mustRegister(t);
    assert.deepEqual(await poll(session, runner), {
      promoted: 0,
      deadRunners: [],
      running: [],
      cancelRequested: [],
      hasAvailable: false,
      hasSuspects: false,
      hasRunRequests: false,
      nextDueMs: null,
    });
    const runAt = new Date(Date.now() + 3_600_000);
    const { job } = await insertJob(sql, newJob({ runAt }));
    await insertJob(sql, newJob({ runAt }));
    await sql`update jobs set run_at = now() where id = ${job.id}`;
    const { promoted, hasAvailable, nextDueMs } = await poll(session, runner);
    assert.deepEqual([promoted, hasAvailable], [1, true]);
    assert.ok(nextDueMs !== null && nextDueMs > 3_500_000 && nextDueMs <= 3_600_000);
    assert.equal((await findJob(sql, job.id))?.state, 'available');
  });

  it('after a poll that finds more due jobs than its limit, the next poll is immediate', async (t) => {
    const { session, runner } = await mustRegister(t);
    await sql`
      insert into jobs (name, queue, state, priority, payload, max_attempts, timeout_ms)
      select 'add', 'default', 'scheduled', 1, '{}', 3, 1000 from generate_series(1, 1001)`;
    const first = await poll(session, runner);
    assert.deepEqual([first.promoted, first.nextDueMs], [1000, 0]);
    const second = await poll(session, runner);
    assert.deepEqual([second.promoted, second.nextDueMs], [1, null]);
  });

  it('a poll returns own jobs to cancel, and ignores queues that are paused or not served', async (t) => {
    const { session, runner } = await mustRegister(t);
    const other = await mustRegister(t);
    const { id } = await mustRun(runner);
    await cancelJob(sql, id);
    await cancelJob(sql, (await mustRun(other.runner)).id);
    await insertJob(sql, newJob({ queue: 'unknown' }));
    await insertJob(sql, newJob());
    const { running, cancelRequested } = await poll(session, runner);
    assert.deepEqual([running, cancelRequested], [[id], [id]]);
    assert.equal((await poll(session, runner)).hasAvailable, true);
    await pauseQueue(sql, 'default');
    assert.equal((await poll(session, runner)).hasAvailable, false);
  });
});

describe('a take-over', () => {
  it('a take-over makes jobs available, or cancelled if that was requested, without counting the attempt', async (t) => {
    const { runner, die } = await mustRegister(t);
    const again = await mustRun(runner);
    const used = await mustRun(runner, { maxAttempts: 1 });
    const cancelled = await mustRun(runner);
    await cancelJob(sql, cancelled.id);
    await sql`update jobs set progress = 0.5, progress_message = 'half'`;
    await die();
    const taken = await over(runner);
    assert.deepEqual(
      taken.map(({ id, state, attempt }) => ({ id, state, attempt })),
      [
        { id: again.id, state: 'available', attempt: 1 },
        { id: used.id, state: 'available', attempt: 1 },
        { id: cancelled.id, state: 'cancelled', attempt: 1 },
      ],
    );
    const job = await findJob(sql, used.id);
    assert.deepEqual(
      job?.errors.map(({ code, attempt }) => ({ code, attempt })),
      [{ code: 'runner_lost', attempt: 1 }],
    );
    // The attempt does not count: another one is left.
    assert.deepEqual([job?.maxAttempts, job?.losses], [2, 1]);
    const waiting = await findJob(sql, again.id);
    assert.deepEqual([waiting?.progress, waiting?.progressMessage], [0, null]);
    assert.equal(await isRegistered(runner), false);
  });

  it('a take-over fails a job that has lost its runner for the fiftieth time, with a reason', async (t) => {
    const { runner, die } = await mustRegister(t);
    const { id } = await mustRun(runner);
    await sql`update jobs set losses = 49`;
    await die();
    await over(runner);
    const job = await findJob(sql, id);
    assert.equal(job?.state, 'failed');
    assert.match(job?.errors.at(-1)?.message ?? '', /has exited 50 times/);
  });

  it('a take-over from a runner whose process lives makes no suspects', async (t) => {
    const { runner, die } = await mustRegister(t);
    const { id } = await mustRun(runner);
    await die();
    await transaction((tx) => takeOver(tx, runner, { mayHaveCrashed: false }));
    const job = await findJob(sql, id);
    assert.deepEqual([job?.state, job?.losses, job?.maxAttempts], ['available', 0, 4]);
  });

  it('a take-over makes suspects, which are claimed separately from other jobs', async (t) => {
    const { runner, die } = await mustRegister(t);
    const lost = await mustRun(runner);
    await die();
    await over(runner);
    const other = await mustRegister(t);
    const { job } = await insertJob(sql, newJob());
    const claim = async (limit: number, suspects: number) =>
      (await claimJobs(sql, { runner: other.runner, queues, limit, suspects })).map(({ id }) => id);
    assert.deepEqual((await poll(other.session, other.runner)).hasSuspects, true);
    assert.deepEqual(await claim(10, 0), [job.id]);
    assert.deepEqual(await claim(0, 10), [lost.id]);
    assert.deepEqual((await poll(other.session, other.runner)).hasSuspects, false);
  });

  it('a take-over takes nothing from a live runner', async (t) => {
    const { runner } = await mustRegister(t);
    const { id } = await mustRun(runner);
    assert.deepEqual(await over(runner), []);
    assert.equal((await findJob(sql, id))?.state, 'running');
    assert.equal(await isRegistered(runner), true);
  });

  it('concurrent take-overs move each job once', async (t) => {
    const { runner, die } = await mustRegister(t);
    for (let job = 0; job < 20; job += 1) await mustRun(runner);
    await die();
    const taken = (await Promise.all(Array.from({ length: 5 }, () => over(runner)))).flat();
    assert.equal(taken.length, 20);
    assert.equal(new Set(taken.map(({ id }) => id)).size, 20);
    assert.equal((await claimJobs(sql, { runner, queues, limit: 1, suspects: 1 })).length, 0);
  });

  it('a take-over skips a job that an open transaction has completed, and takes the other jobs', async (t) => {
    const { runner, die } = await mustRegister(t);
    const completing = await mustRun(runner);
    const other = await mustRun(runner);
    await die();
    await transaction(async (tx) => {
      assert.equal(await completeMarked(tx, { ...completing, result: '1' }), true);
      assert.deepEqual(
        (await over(runner)).map(({ id }) => id),
        [other.id],
      );
      assert.equal(await isRegistered(runner), true);
    });
    assert.deepEqual(await over(runner), []);
    assert.equal(await isRegistered(runner), false);
    const job = await findJob(sql, completing.id);
    assert.deepEqual([job?.state, job?.result, job?.errors], ['completed', 1, []]);
  });

  it('a job whose completion is rolled back is taken over at the next poll', async (t) => {
    const { runner, die } = await mustRegister(t);
    const completing = await mustRun(runner);
    await die();
    const work = transaction(async (tx) => {
      await completeMarked(tx, { ...completing, result: null });
      assert.deepEqual(await over(runner), []);
      throw new Error('The connection broke.');
    });
    await assert.rejects(work);
    assert.deepEqual(
      (await over(runner)).map(({ id }) => id),
      [completing.id],
    );
  });

  it('a completion after a take-over changes nothing', async (t) => {
    const { runner, die } = await mustRegister(t);
    const own = await mustRun(runner);
    await die();
    const { completion } = await transaction(async (tx) => {
      await takeOver(tx, runner);
      const completion = transaction((late) => completeMarked(late, { ...own, result: '1' }));
      await someoneWaits();
      return { completion };
    });
    assert.equal(await completion, false);
    assert.equal((await findJob(sql, own.id))?.state, 'available');
  });
});
