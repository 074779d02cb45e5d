import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import { failAttempt } from '../../../src/jobs/attempt-store.ts';
import type { Outcome } from '../../../src/jobs/thread/thread-messages.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustStoreJob } from '../../helpers/stored-job.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';
import { mustStartPool } from '../../helpers/thread-pool.ts';

const { sql, url } = await mustOpenTestDatabase({ after });
await sql`create table effects (job bigint not null)`;
const pool = await mustStartPool({ after }, { databaseUrl: url, size: 2 });

beforeEach(async () => {
  await sql`truncate effects`;
});

/** A job of runner 1 in its first attempt. It runs the task `counts`, which pauses or fails at a given point. */
async function mustBegin(at?: string, task = 'counts') {
  const id = await mustStoreJob(sql, { state: 'running', name: task });
  const payload = at === undefined ? {} : { at };
  return { id, outcome: pool.runTask(task, { id, payload }) };
}

async function rowsOf(id: number) {
  const [job] = await sql<
    { state: string; result: unknown }[]
  >`select state, result from jobs where id = ${id}`;
  const effects = await sql`select from effects where job = ${id}`;
  return { state: job?.state, result: job?.result, effects: effects.length };
}

/** Records a failed outcome as the completer does. */
async function recordFailure(id: number, outcome: Outcome) {
  assert.equal(outcome.kind, 'failed');
  if (outcome.kind !== 'failed') throw new Error('It has not failed.');
  return failAttempt(sql, { id, attempt: 1, runner: 1, error: outcome.error, retryAfterMs: 1000 });
}

const untouched = { state: 'running', result: null, effects: 0 };

describe('ctx.tx', () => {
  it('ctx.tx commits the effect, the completion and the result together', async () => {
    const { id, outcome } = await mustBegin();
    assert.deepEqual(await outcome, { kind: 'committed' });
    assert.deepEqual(await rowsOf(id), { state: 'completed', result: { count: 1 }, effects: 1 });
  });

  it('ctx.tx that fails leaves no changes, and the attempt has failed', async () => {
    const { id, outcome } = await mustBegin('throws in the transaction');
    assert.equal((await outcome).kind, 'failed');
    assert.deepEqual(await rowsOf(id), untouched);
  });

  it('ctx.tx rolls the effect back if the job was taken over', async () => {
    for (const theirs of [{ attempt: 2 }, { runner: 2 }]) {
      const id = await mustStoreJob(sql, { state: 'running', name: 'counts' });
      await sql`update jobs set ${sql(theirs)} where id = ${id}`;
      const outcome = await pool.runTask('counts', { id });
      // The failure finds no row of this attempt either, so it does not count.
      assert.equal(await recordFailure(id, outcome), undefined);
      assert.deepEqual(await rowsOf(id), untouched);
    }
  });

  const misuses: [statements: readonly string[], message: RegExp, effects: number][] = [
    [['rollback'], /transaction was ended inside/, 0],
    [['abort'], /transaction was ended inside/, 0],
    [['rollback', 'begin'], /transaction was ended inside/, 0],
    [['rollback and chain'], /transaction was ended inside/, 0],
    [['commit'], /transaction was ended inside/, 1],
    [['end'], /transaction was ended inside/, 1],
    [['commit', 'begin'], /transaction was ended inside/, 1],
    [['savepoint one', 'try select 1 / 0', 'rollback to one'], /division by zero/, 0],
    [['commit and chain'], /transaction was ended inside/, 1],
    [['begin', 'rollback'], /transaction was ended inside/, 0],
    [['delete from jobs where id = $job'], /must not change or delete its own row/, 0],
    [['update jobs set attempt = 2 where id = $job'], /must not change or delete its own row/, 0],
    [['try select 1 / 0'], /a statement in it failed and the task continued/, 0],
    [['savepoint one', 'release one', 'try rollback to one'], /a statement in it failed/, 0],
    [['set transaction read only'], /cannot execute INSERT in a read-only transaction/, 0],
    [['savepoint one', 'set transaction read only'], /its transaction is read-only/, 0],
    [['set transaction isolation level serializable'], /must be called before any query/, 0],
  ];
  for (const [statements, message, effects] of misuses) {
    it(`ctx.tx fails its attempt with a reason after ${statements.join('; ')}`, async () => {
      // After a first statement, because `sends_in_tx` sends one of its own first otherwise.
      const at = statements[0]?.startsWith('set transaction isolation')
        ? ['select 1', ...statements]
        : statements;
      const { id, outcome } = await mustBegin(JSON.stringify(at), 'sends_in_tx');
      const ended = await outcome;
      assert.match(ended.kind === 'failed' ? ended.error.message : ended.kind, message);
      assert.equal(await recordFailure(id, ended), 'scheduled');
      assert.equal((await rowsOf(id)).effects, effects);
    });
  }

  const uses: (readonly string[])[] = [
    ['begin'],
    ['savepoint one'],
    ['set transaction isolation level serializable'],
    ["set local statement_timeout = '5s'"],
  ];
  for (const statements of uses) {
    it(`ctx.tx completes its job after ${statements.join('; ')}`, async () => {
      const { id, outcome } = await mustBegin(JSON.stringify(statements), 'sends_in_tx');
      assert.deepEqual(await outcome, { kind: 'committed' });
      assert.deepEqual(await rowsOf(id), { state: 'completed', result: null, effects: 1 });
    });
  }

  it('ctx.tx completes its job with the time at which its work ended', async () => {
    const { id, outcome } = await mustBegin(JSON.stringify(['select pg_sleep(0.3)']), 'sends_in_tx');
    await outcome;
    const [row] = await sql<{ ms: number }[]>`
      select (extract(epoch from finished_at - started_at) * 1000)::float8 as ms from jobs where id = ${id}`;
    assert.ok((row?.ms ?? 0) >= 290, String(row?.ms));
  });

  it('ctx.tx has completed the job, whatever the task does afterwards', async () => {
    for (const at of ['throws after the commit', 'again']) {
      const { id, outcome } = await mustBegin(at);
      assert.deepEqual(await outcome, { kind: 'committed' });
      assert.deepEqual(await rowsOf(id), { state: 'completed', result: { count: 1 }, effects: 1 });
      await sql`truncate effects`;
    }
    const [thrown, again] = pool.log.of('job.failed_after_commit').map(({ error }) => JSON.stringify(error));
    assert.match(thrown ?? '', /Too late to matter/);
    assert.match(again ?? '', /ctx\.tx has completed the job already/);
  });

  it('ctx.tx counts even if the task does not await it', async () => {
    const { id, outcome } = await mustBegin(undefined, 'counts_unawaited');
    assert.deepEqual(await outcome, { kind: 'committed' });
    assert.equal((await rowsOf(id)).effects, 1);
  });

  it('ctx.tx whose connection breaks leaves no changes, and the next attempt gets another connection', async () => {
    const { id, outcome } = await mustBegin(undefined, 'kills_its_connection');
    const ended = await outcome;
    assert.equal(ended.kind === 'failed' && ended.error.code, 'threw');
    assert.deepEqual(await rowsOf(id), untouched);
    const next = await mustBegin();
    assert.deepEqual(await next.outcome, { kind: 'committed' });
  });
});

it('a job whose thread gets no connection from a full server runs again later, and the attempt does not count', async (t) => {
  const role = `full_${process.pid}`;
  await sql`create role ${sql(role)} login password 'full' connection limit 0`;
  t.after(async () => void (await sql`drop role ${sql(role)}`));
  const databaseUrl = new URL(url);
  databaseUrl.username = role;
  databaseUrl.password = 'full';
  const full = await mustStartPool(t, { databaseUrl: databaseUrl.href });
  assert.deepEqual(await full.runTask('counts'), { kind: 'snoozed', delayMs: 5000 });
  assert.match(JSON.stringify(full.log.of('job.no_database')), /too many connections/);
});

describe('a thread that is terminated', () => {
  const points: [at: string, effects: number][] = [
    ['before the transaction', 0],
    ['after the effect', 0],
    ['waits in the transaction', 0],
    ['after the commit', 1],
  ];
  for (const [at, effects] of points) {
    it(`a thread that is terminated (${at}) leaves ${effects === 0 ? 'no changes' : 'effect and completion'}`, async () => {
      const { id, outcome } = await mustBegin(at);
      if (effects === 1) await eventually('it is committed', async () => (await rowsOf(id)).effects === 1);
      if (at === 'after the effect' || at === 'waits in the transaction') {
        await eventually('it holds a lock', async () => {
          const locks = await sql`
            select from pg_locks where relation = 'effects'::regclass and mode = 'RowExclusiveLock' and granted`;
          return locks.length > 0;
        });
      }
      pool.abort(id, 'timeout');
      const ended = await outcome;
      const state = await recordFailure(id, ended);
      assert.equal(state, effects === 0 ? 'scheduled' : undefined);
      const rows = await rowsOf(id);
      assert.equal(rows.effects, effects);
      assert.equal(rows.state, effects === 0 ? 'scheduled' : 'completed');
    });
  }

  it('a thread that is terminated during the commit leaves both or neither, and a failure is only recorded for neither', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { id, outcome } = await mustBegin('exits at the commit');
      const ended = await outcome;
      if (ended.kind !== 'committed') await recordFailure(id, ended);
      const { state, effects } = await rowsOf(id);
      assert.ok(state === 'completed' || state === 'scheduled', state);
      assert.equal(effects, state === 'completed' ? 1 : 0, `${state} with ${effects} effects`);
    }
  });

  it('a thread that is terminated leaves no connection behind', async () => {
    const { id, outcome } = await mustBegin('waits in the transaction');
    const open = async () =>
      (
        await sql`select from pg_stat_activity where state = 'idle in transaction' and datname = current_database()`
      ).length;
    await eventually('its transaction is open', async () => (await open()) === 1);
    pool.abort(id, 'lost');
    assert.deepEqual(await outcome, { kind: 'aborted', reason: 'lost' });
    await eventually('its transaction is gone', async () => (await open()) === 0);
  });
});

it('aborting an attempt cancels its query', async (t) => {
  const patient = await mustStartPool(t, { databaseUrl: url, abortGraceMs: 20_000 });
  const outcome = patient.runTask('asks_the_database', { id: 1 });
  const active = async () =>
    (
      await sql`
        select from pg_stat_activity where datname = current_database()
          and query like '%pg_sleep(60)%' and state = 'active' and pid <> pg_backend_pid()`
    ).length;
  await eventually('it runs', async () => (await active()) === 1);
  patient.abort(1, 'cancelled');
  assert.deepEqual(await outcome, { kind: 'aborted', reason: 'cancelled' });
  await eventually('it is cancelled', async () => (await active()) === 0);
});
