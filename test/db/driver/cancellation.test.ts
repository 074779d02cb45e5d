/**
 * A request that ends takes its queries with it, and nothing else: the connection of a cancelled query is free soon,
 * and no cancellation reaches the query of another request.
 */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../../../src/db/database.ts';
import { AppError } from '../../../src/errors.ts';
import { runInRequest } from '../../../src/observability/request-context.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustOpenProxy } from '../../helpers/postgres-proxy.ts';
import { mustConnect, mustOpenTestDatabase, testServerUrl } from '../../helpers/test-database.ts';

let pools = 0;

/** A pool with a name of its own, by which another pool finds its backends. */
function mustPrepare(t: TestContext, poolSize: number) {
  const url = testServerUrl();
  pools += 1;
  const applicationName = `cancelled pool ${pools} of ${process.pid}`;
  const database = mustConnect(t, { url, poolSize, applicationName, statementTimeoutMs: 0 });
  const { sql: admin } = mustConnect(t, { url, poolSize: 1 });
  return { ...database, applicationName, admin };
}

const gone = new Error('The client is gone.');

/** Calls `work` as a request that ends after `ms`, or in this turn of the event loop if `ms` is undefined. */
async function endedAfter(ms: number | undefined, work: () => Promise<unknown>): Promise<void> {
  const controller = new AbortController();
  const done = runInRequest({ id: 'req-1', signal: controller.signal }, work);
  done.catch(() => {});
  if (ms !== undefined) await delay(ms);
  controller.abort(gone);
  await done.then(
    () => {},
    (error) => assert.equal(error, gone),
  );
}

const sleeps: Readonly<Record<string, (database: Database) => Promise<unknown>>> = {
  'a query': async ({ sql }) => sql`select pg_sleep(60)`,
  'a query with values': async ({ sql }) => sql`select pg_sleep(${60}::int)`,
  'a text': async ({ sql }) => sql.unsafe('select pg_sleep(60)'),
  'a query in a transaction': ({ transaction }) => transaction(async (sql) => sql`select pg_sleep(60)`),
  'queries of a transaction that wait for one another': ({ transaction }) =>
    transaction((sql) => Promise.all([sql`select pg_sleep(60)`, sql`select pg_sleep(61)`])),
  'a transaction between two queries': ({ transaction }) =>
    transaction(async (sql) => {
      await sql`select 1`;
      await new Promise(() => {});
    }),
};

describe('a request that ends', () => {
  it('its statement does not run when the connection opens later, and the next statement does', async (t) => {
    const direct = await mustOpenTestDatabase(t);
    const proxy = await mustOpenProxy(t, direct.url);
    await direct.sql`create table runs (how text)`;
    for (const [how, run] of Object.entries<(database: Database) => Promise<unknown>>({
      'a statement': async ({ sql }) => sql`insert into runs values (${'a statement'})`,
      'a text': async ({ sql }) => sql.unsafe(`insert into runs values ('a text'); select 1`),
      'a cursor': async ({ sql }) =>
        sql`insert into runs values ('a cursor') returning how`.cursor(1, () => {}),
      'a transaction': ({ transaction }) =>
        transaction((sql) => sql`insert into runs values ('a transaction')`),
    })) {
      const database = mustConnect(t, { url: proxy.url, poolSize: 1 });
      const before = proxy.connections();
      proxy.hold();
      const controller = new AbortController();
      const done = runInRequest({ id: 'req-1', signal: controller.signal }, () => run(database));
      done.catch(() => {});
      await eventually('a connection opens', () => proxy.connections() > before);
      controller.abort(gone);
      await assert.rejects(done, gone, how);
      proxy.release();
      assert.deepEqual([...(await database.sql`select how from runs`)], [], how);
      await eventually('the connection is free', () => database.stats().inUse === 0);
    }
  });

  it('its statement that the network has not delivered is not delivered after settle', async (t) => {
    const direct = await mustOpenTestDatabase(t);
    const proxy = await mustOpenProxy(t, direct.url);
    await direct.sql`create table runs (how text)`;
    const database = mustConnect(t, { url: proxy.url, poolSize: 1 });
    await database.sql`select 1`;
    await eventually('the connection is free', () => database.stats().inUse === 0);
    proxy.hold();
    const controller = new AbortController();
    const done = runInRequest(
      { id: 'req-1', signal: controller.signal },
      async () =>
        // More than the buffers of the sockets hold.
        database.sql`insert into runs values (${'x'.repeat(50_000_000)})`,
    );
    done.catch(() => {});
    await delay(50);
    controller.abort(gone);
    await assert.rejects(done, gone);
    await database.settle(50);
    proxy.release();
    await eventually('the connection is reset', () => proxy.resets() >= 1);
    assert.equal((await database.sql`select 1 from runs`).length, 0);
  });

  it('settle waits until PostgreSQL has cancelled the statements, and keeps their connections', async (t) => {
    const { sql, settle, stats } = mustPrepare(t, 2);
    const pids = async () =>
      (
        await Promise.all(
          [1, 2].map(() => sql<{ pid: number }[]>`select pg_backend_pid() as pid, pg_sleep(0.05)`),
        )
      )
        .map(([row]) => row?.pid)
        .sort();
    const before = await pids();
    await endedAfter(20, () => Promise.all([sql`select pg_sleep(60)`, sql`select pg_sleep(61)`]));
    await settle(10_000);
    assert.equal(stats().inUse, 0);
    assert.deepEqual(await pids(), before);
  });

  for (const [name, sleep] of Object.entries(sleeps)) {
    it(`the connection of ${name} is free within a second, however early its request ends`, async (t) => {
      const database = mustPrepare(t, 1);
      // No connection is open yet for the first one.
      for (const ms of [undefined, 0, 1, 5, undefined, 0, 1, 2, 3, 5, 20]) {
        await endedAfter(ms, () => sleep(database));
        const endedAt = performance.now();
        assert.deepEqual([...(await database.sql`select 8::int as n`)], [{ n: 8 }]);
        assert.ok(performance.now() - endedAt < 1000, `${performance.now() - endedAt} ms after ${ms}`);
      }
      assert.deepEqual(database.stats(), { size: 1, inUse: 0, waiting: 0 });
    });
  }

  it('cancelled requests never affect the queries of other requests', async (t) => {
    const { sql, transaction, stats } = mustPrepare(t, 3);
    let left = 2000;
    let innocents = 0;
    const end = async () => {
      while (left > 0) {
        left -= 1;
        const ms = left % 3 === 0 ? undefined : Math.random() * 3;
        await endedAfter(
          ms,
          left % 2 === 0
            ? async () => sql`select pg_sleep(0.002), ${left}::int`
            : () => transaction(async (tx) => tx`select pg_sleep(0.002), ${left}::int`),
        );
      }
    };
    const live = async (name: string) => {
      for (let n = 0; left > 0; n += 1) {
        const value = `${name} ${n}`;
        const read = async (tag: typeof sql) =>
          tag`select ${value}::text as value, pg_sleep(0.001) from generate_series(1, 2)`;
        const rows = await (n % 2 === 0 ? read(sql) : transaction(read));
        assert.deepEqual(
          rows.map((row) => row.value),
          [value, value],
        );
        innocents += 1;
      }
    };
    await Promise.all([end(), end(), end(), end(), live('a'), live('b'), live('c')]);
    assert.ok(innocents > 100, `${innocents}`);
    await eventually('all connections are free', () => stats().inUse === 0);
  });
});

describe('a query that its caller cancels', () => {
  for (const [when, ms] of [
    ['before it is awaited', undefined],
    ['while it waits for the connection', 0],
    ['while it runs', 60],
  ] as const) {
    it(`a query cancelled by its caller ${when} rejects and frees its connection`, async (t) => {
      const { sql, stats } = mustPrepare(t, 1);
      await sql`select 1`;
      for (let n = 0; n < 3; n += 1) {
        const before = sql`select pg_sleep(0.03)`.execute();
        const query = sql`select pg_sleep(60)`;
        if (ms === undefined) query.cancel();
        const rejected = assert.rejects(async () => query, /cancel/);
        if (ms !== undefined) {
          await delay(ms);
          query.cancel();
        }
        await Promise.all([before, rejected]);
        assert.deepEqual([...(await sql`select 8::int as n`)], [{ n: 8 }]);
      }
      assert.deepEqual(stats(), { size: 1, inUse: 0, waiting: 0 });
    });
  }

  it('a query cancelled by its caller rolls back the rest of its transaction', async (t) => {
    const { sql, transaction, stats } = mustPrepare(t, 1);
    const cancelled = transaction(async (tx) => {
      const first = tx`select pg_sleep(0.03)`.execute();
      const second = tx`select pg_sleep(60)`;
      const rejected = assert.rejects(async () => second, /cancel/);
      await delay(5);
      second.cancel();
      await Promise.all([first, rejected]);
      throw new Error('undone');
    });
    await assert.rejects(cancelled, /undone|cancel/);
    assert.deepEqual([...(await sql`select 8::int as n`)], [{ n: 8 }]);
    await eventually('the connection is free', () => stats().inUse === 0);
  });
});

describe('a query that the operator cancels', () => {
  it('a query cancelled by the operator costs the pool no connection, and leaves no transaction open', async (t) => {
    const { sql, transaction, stats, admin, applicationName } = mustPrepare(t, 3);
    let isOver = false;
    const cancel = async () => {
      while (!isOver) {
        await admin`select pg_cancel_backend(pid) from pg_stat_activity where application_name = ${applicationName}`;
      }
    };
    const storm = Promise.all([cancel()]);
    let cancelled = 0;
    const use = async () => {
      for (let n = 0; n < 300; n += 1) {
        const read = async (tag: typeof sql) =>
          tag`select ${n}::int as n, pg_sleep(0.001)`.then((rows) => rows.map((row) => row.n));
        try {
          assert.deepEqual(await (n % 3 === 0 ? read(sql) : transaction(read)), [n]);
        } catch (error) {
          assert.ok(error instanceof AppError && error.code === 'database_unavailable', String(error));
          cancelled += 1;
        }
      }
    };
    await Promise.all([use(), use(), use(), use()]);
    isOver = true;
    await storm;
    t.diagnostic(`${cancelled} of 1200 were cancelled`);
    assert.deepEqual(stats(), { size: 3, inUse: 0, waiting: 0 });
    const inTransaction = await admin`
      select state, query from pg_stat_activity
      where application_name = ${applicationName} and state like 'idle in%'`;
    assert.deepEqual([...inTransaction], []);
    await Promise.all([1, 2, 3].map(async () => sql`select pg_sleep(0.01)`));
  });
});
