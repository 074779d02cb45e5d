import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { sqlState } from '../../src/db/database-error.ts';
import type { Sql } from '../../src/db/sql.ts';
import { AppError } from '../../src/errors.ts';
import { runInRequest } from '../../src/observability/request-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustConnect, mustCreateDatabase } from '../helpers/test-database.ts';

const url = await mustCreateDatabase({ after }, { empty: true });

async function mustPrepare(t: TestContext, poolSize = 2) {
  const captured = captureLog();
  const database = mustConnect(t, { url, poolSize, log: captured.log });
  const { sql: admin } = mustConnect(t, { url });
  await admin`drop table if exists account`;
  await admin`create table account (id int primary key, cents int not null)`;
  await admin`insert into account values (1, 100), (2, 100)`;
  const cents = async () => {
    const rows = await admin`select cents from account order by id`;
    return rows.map((row) => Number(row.cents));
  };
  return { ...database, admin, cents, captured };
}

const backend = async (sql: Sql) => Number((await sql`select pg_backend_pid() as pid`)[0]?.pid);

describe('a transaction', () => {
  it('a transaction commits and returns the result of its work', async (t) => {
    const { transaction, cents } = await mustPrepare(t);
    const result = await transaction(async (sql) => {
      await sql`update account set cents = cents - 30 where id = 1`;
      await sql`update account set cents = cents + 30 where id = 2`;
      return [Promise.resolve('as it is')];
    });
    assert.ok(result[0] instanceof Promise);
    assert.deepEqual(await cents(), [70, 130]);
  });

  it('a transaction whose work fails rolls back and rejects with that error', async (t) => {
    const { transaction, cents } = await mustPrepare(t);
    const failure = new Error('not enough');
    const work = async (sql: Sql) => {
      await sql`update account set cents = 0`;
      throw failure;
    };
    await assert.rejects(transaction(work), failure);
    await assert.rejects(
      transaction(async (sql) => sql`update account set cents = null`),
      (error) => sqlState(error) === '23502',
    );
    assert.deepEqual(await cents(), [100, 100]);
  });

  it('a transaction rolls back when a query failed, even if its error was swallowed', async (t) => {
    const { transaction, cents } = await mustPrepare(t);
    const work = async (sql: Sql) => {
      await sql`update account set cents = 0`;
      await sql`select 1 / 0`.catch(() => {});
    };
    await assert.rejects(transaction(work), (error) => sqlState(error) === '22012');
    assert.deepEqual(await cents(), [100, 100]);
  });

  it('a transaction runs at the isolation level of its options', async (t) => {
    const { transaction } = await mustPrepare(t);
    for (const isolation of ['read committed', 'repeatable read', 'serializable'] as const) {
      const rows = await transaction(async (sql) => sql`show transaction_isolation`, { isolation });
      assert.equal(rows[0]?.transaction_isolation, isolation);
    }
  });

  it('a transaction rolls back when its request ends during a query or between two', async (t) => {
    const { transaction, cents, admin } = await mustPrepare(t);
    const gone = new Error('The client is gone.');
    const statements: readonly ((sql: Sql, controller: AbortController) => Promise<unknown>)[] = [
      async (sql, controller) => {
        const asleep = Promise.resolve(sql`select pg_sleep(60)`);
        asleep.catch(() => {});
        await eventually('it runs', async () => {
          return (
            (
              await admin`
                select from pg_stat_activity
                where datname = current_database() and query like '%pg_sleep(60)' and state = 'active'`
            ).length > 0
          );
        });
        controller.abort(gone);
        await asleep;
      },
      async (sql, controller) => {
        controller.abort(gone);
        await sql`select 1`;
      },
      async (_sql, controller) => controller.abort(gone),
    ];
    for (const run of statements) {
      const controller = new AbortController();
      const done = runInRequest({ id: 'req-1', signal: controller.signal }, () =>
        transaction(async (sql) => {
          await sql`update account set cents = 0`;
          await run(sql, controller);
        }),
      );
      await assert.rejects(done, gone);
      assert.deepEqual(await cents(), [100, 100]);
    }
  });

  it('a transaction that has ended accepts no query', async (t) => {
    const { transaction, cents } = await mustPrepare(t);
    const late = await transaction(async (sql) => {
      await sql`select 1`;
      return { sql };
    });
    await assert.rejects(async () => late.sql`update account set cents = 0`, /This transaction has ended/);
    assert.deepEqual(await cents(), [100, 100]);
  });
});

describe('a transaction whose connection breaks', () => {
  it('a transaction whose connection breaks during a query is database_unavailable, and the pool continues', async (t) => {
    const { transaction, sql, admin, cents, stats } = await mustPrepare(t, 1);
    for (let round = 0; round < 3; round += 1) {
      const work = async (tx: Sql) => {
        const pid = await backend(tx);
        await tx`update account set cents = 0`;
        await Promise.all([tx`select pg_sleep(60)`, admin`select pg_terminate_backend(${pid})`]);
      };
      await assert.rejects(transaction(work), { code: 'database_unavailable' });
      assert.equal((await transaction(async (tx) => tx`select 1`)).length, 1);
    }
    assert.equal((await sql`select 1`).length, 1);
    await eventually('the connection is free', () => stats().inUse === 0 && stats().waiting === 0);
    assert.deepEqual(await cents(), [100, 100]);
  });

  it('all queries of a broken transaction reject with the error that broke the connection', async (t) => {
    const { transaction, admin } = await mustPrepare(t, 1);
    let settled: readonly PromiseSettledResult<unknown>[] = [];
    const work = async (tx: Sql) => {
      const pid = await backend(tx);
      const sent = Promise.allSettled([tx`select pg_sleep(60)`, tx`select 1`, tx`select 2`]);
      await admin`select pg_terminate_backend(${pid})`;
      settled = await sent;
    };
    const error: unknown = await transaction(work).catch((thrown) => thrown);
    assert.ok(error instanceof AppError && error.cause instanceof Error);
    assert.doesNotMatch(error.cause.message, /was given up/);
    await eventually('its queries are settled', () => settled.length === 3);
    for (const each of settled) {
      const cause: unknown = each.status === 'rejected' && each.reason.cause;
      assert.equal(cause, error.cause);
    }
  });

  it('a transaction whose connection breaks between two queries rejects at once, and its later queries are not sent', async (t) => {
    const { transaction, sql, admin, cents } = await mustPrepare(t, 1);
    const ended = createDeferred();
    let later: unknown;
    const workEnded = createDeferred();
    const transacted = transaction(async (tx) => {
      const pid = await backend(tx);
      await admin`select pg_terminate_backend(${pid})`;
      await ended.promise;
      // The pool has its connection back, and other queries can use it.
      await sql`select 1`;
      later = await tx`update account set cents = 0`.catch((error) => error);
      workEnded.resolve();
    });
    await assert.rejects(transacted, { code: 'database_unavailable' });
    ended.resolve();
    await workEnded.promise;
    assert.match(String(later), /This transaction has ended/);
    assert.deepEqual(await cents(), [100, 100]);
  });
});

describe('transactions that conflict with each other', () => {
  /** Two transactions that both read both accounts before either writes: one must fail or be repeated. */
  async function collide(
    transaction: Awaited<ReturnType<typeof mustPrepare>>['transaction'],
    retries: number,
  ) {
    let readers = 0;
    const bothRead = createDeferred();
    let runs = 0;
    const withdraw = (id: number) =>
      transaction(
        async (sql) => {
          runs += 1;
          const [sum] = await sql`select sum(cents)::int as total from account`;
          readers += 1;
          if (readers >= 2) bothRead.resolve();
          await bothRead.promise;
          if (Number(sum?.total) >= 200) await sql`update account set cents = cents - 200 where id = ${id}`;
        },
        { isolation: 'serializable', retries },
      );
    const results = await Promise.allSettled([withdraw(1), withdraw(2)]);
    return { results, runs };
  }

  it('conflicting transactions are retried as often as the options allow, with a line in the log', async (t) => {
    const { transaction, cents, captured } = await mustPrepare(t);
    const { results, runs } = await collide(transaction, 3);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled'],
    );
    assert.equal(runs, 3);
    assert.equal(
      (await cents()).reduce((sum, each) => sum + each),
      0,
    );
    const [line] = captured.of('database.retry');
    assert.deepEqual([line?.attempt, line?.sqlstate], [1, '40001']);
  });

  it('a conflicting transaction without retries rejects with the serialisation failure', async (t) => {
    const { transaction, captured } = await mustPrepare(t);
    const { results, runs } = await collide(transaction, 0);
    const failed = results.filter((result) => result.status === 'rejected');
    assert.deepEqual(
      failed.map(({ reason }) => sqlState(reason)),
      ['40001'],
    );
    assert.equal(runs, 2);
    assert.deepEqual(captured.of('database.retry'), []);
  });
});
