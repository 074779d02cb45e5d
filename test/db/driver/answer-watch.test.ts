/** Connections whose peer is dead, as behind a network that drops packets: a proxy drops their bytes. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import type { Database } from '../../../src/db/database.ts';
import { connectDirectly } from '../../../src/db/driver/direct-connection.ts';
import { onlyRow } from '../../../src/db/sql.ts';
import { AppError } from '../../../src/errors.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustOpenProxy } from '../../helpers/postgres-proxy.ts';
import { mustConnect, mustCreateDatabase, mustOpenTestDatabase } from '../../helpers/test-database.ts';

/** The pool must answer again within this time. On an idle machine it needs half of it. */
const healMs = 8_000;

describe('connections', { concurrency: true }, () => {
  describe('a dead connection', { concurrency: true }, () => {
    const waits: Readonly<Record<string, (database: Database) => Promise<unknown>>> = {
      'a statement without parameters': ({ sql }) => sql`select 1`,
      'a statement with parameters': ({ sql }) => sql`select ${1}::int as n`,
      'a statement of the simple protocol': ({ sql }) => sql.unsafe('select 1'),
      'the BEGIN of a transaction': ({ transaction }) => transaction((sql) => sql`select 1`),
      'a ping': ({ ping }) => ping(20_000),
    };
    for (const [what, wait] of Object.entries(waits)) {
      test(`a connection on which ${what} gets no response is given up within seconds, and the next statement works`, async (t) => {
        const { url } = await mustOpenTestDatabase(t);
        const proxy = await mustOpenProxy(t, url);
        const captured = captureLog();
        const database = mustConnect(t, { url: proxy.url, poolSize: 1, log: captured.log });
        await waitUntilIdle(database);
        for (let time = 1; time <= 2; time += 1) {
          proxy.stall();
          const startedAt = performance.now();
          await assert.rejects(wait(database), hasCode('database_unavailable'));
          assert.ok(performance.now() - startedAt < healMs, `${performance.now() - startedAt} ms`);
          assert.equal(onlyRow(await database.sql`select ${time}::int as n`).n, time);
          assert.equal(database.stats().inUse, 0);
        }
        const dead = captured.lines().filter(({ event }) => event === 'database.connection_dead');
        assert.equal(dead.length, 2);
        assert.ok(dead.every(({ pid, silent_ms: ms }) => Number(pid) > 0 && Number(ms) >= 1_500));
      });
    }

    test('a dead connection is reset, so that the network does not deliver its statement later, except in a transaction', async (t) => {
      const { url } = await mustOpenTestDatabase(t);
      const [one, two] = [await mustOpenProxy(t, url), await mustOpenProxy(t, url)];
      const connection = connectDirectly({
        ...{ url: one.url, applicationName: 'strata-test', connectTimeoutSeconds: 5 },
      });
      t.after(() => connection.end({ timeout: 0 }));
      const { transaction } = mustConnect(t, { url: two.url });
      const alone = async () => {
        await connection`select 1`;
        one.stall();
        await connection`select 2`;
      };
      const inTransaction = () =>
        transaction(async (sql) => {
          await sql`select 1`;
          two.stall();
          await sql`select 2`;
        });
      await Promise.all([
        assert.rejects(alone(), { code: 'ETIMEDOUT' }),
        assert.rejects(inTransaction(), hasCode('database_unavailable')),
      ]);
      await eventually('the first connection is reset', () => one.resets() === 1);
      assert.equal(two.resets(), 0);
    });

    test('a dead connection closes the idle connections of its pool too, so that later statements work at once', async (t) => {
      const { url, sql: outside } = await mustOpenTestDatabase(t);
      const proxy = await mustOpenProxy(t, url);
      const captured = captureLog();
      const applicationName = `idle ${process.pid}`;
      const options = { url: proxy.url, poolSize: 4, log: captured.log, applicationName };
      const { sql, transaction, stats, ...database } = mustConnect(t, options);
      await waitUntilIdle({ sql, transaction, stats, ...database });
      await Promise.all(Array.from({ length: 4 }, () => sql`select pg_sleep(0.1)`));
      assert.ok(
        (await outside`select from pg_stat_activity where application_name = ${applicationName}`).length >= 4,
      );
      proxy.stall();
      await assert.rejects(async () => sql`select 1`, hasCode('database_unavailable'));
      // Sent on all four at the same time, so that none benefits from the detection of another dead connection.
      const startedAt = performance.now();
      await Promise.all([
        sql`select ${1}::int`,
        transaction((tx) => tx`select 1`),
        transaction((tx) => tx`select 1`),
        sql`select pg_sleep(0.1)`,
      ]);
      assert.ok(performance.now() - startedAt < 1_500, `${performance.now() - startedAt} ms`);
      assert.equal(captured.of('database.connection_dead').length, 1);
      assert.equal(stats().inUse, 0);
    });

    test('connections of the pool that respond after the failure stay open', async (t) => {
      const { url } = await mustOpenTestDatabase(t);
      const proxy = await mustOpenProxy(t, url);
      const { sql, ...database } = mustConnect(t, { url: proxy.url, poolSize: 2 });
      await waitUntilIdle({ sql, ...database });
      proxy.stall();
      const dead = Promise.resolve(sql`select 1`);
      dead.catch(() => {});
      // On a second connection, because the first one waits for a response.
      const before = onlyRow(await sql<{ pid: number }[]>`select pg_backend_pid() as pid`).pid;
      const answering = setInterval(() => void sql`select 1`.catch(() => {}), 200);
      t.after(() => clearInterval(answering));
      await assert.rejects(dead, hasCode('database_unavailable'));
      clearInterval(answering);
      await eventually('no query is running', () => database.stats().inUse === 0);
      const pidOfEach = () => sql<{ pid: number }[]>`select pg_backend_pid() as pid, pg_sleep(0.1)`;
      const pids = await Promise.all([pidOfEach(), pidOfEach()]);
      assert.ok(pids.some((rows) => onlyRow(rows).pid === before));
    });

    test('a dead session closes the idle connections of a pool to the same database too', async (t) => {
      const { url } = await mustOpenTestDatabase(t);
      const proxy = await mustOpenProxy(t, url);
      const captured = captureLog();
      const database = mustConnect(t, { url: proxy.url, poolSize: 2, log: captured.log });
      const session = connectDirectly({
        ...{ url: proxy.url, applicationName: 'session', connectTimeoutSeconds: 5 },
      });
      t.after(() => session.end({ timeout: 0 }));
      await waitUntilIdle(database);
      await session`select 1`;
      proxy.stall();
      await assert.rejects(session`select 1`, { code: 'ETIMEDOUT' });
      await Promise.all([database.sql`select 1`, database.transaction((tx) => tx`select 1`)]);
      assert.deepEqual(captured.of('database.connection_dead'), []);
    });

    for (const phase of ['in a statement of a transaction', 'at the COMMIT']) {
      test(`a transaction whose connection dies ${phase} is rejected, and its locks are released`, async (t) => {
        const { url, sql } = await mustOpenTestDatabase(t);
        await sql`create table counters (id integer primary key, n integer not null)`;
        await sql`insert into counters values (1, 0)`;
        const proxy = await mustOpenProxy(t, url);
        const database = mustConnect(t, { url: proxy.url, poolSize: 1 });
        await waitUntilIdle(database);
        await assert.rejects(
          database.transaction(async (tx) => {
            await tx`update counters set n = n + 1`;
            proxy.stall();
            if (phase !== 'at the COMMIT') await tx`select 1`;
          }),
          hasCode('database_unavailable'),
        );
        await sql`set lock_timeout = '2s'`;
        await sql`update counters set n = n + 10`;
        assert.equal(onlyRow(await sql`select n from counters`).n, 10);
      });
    }

    test('dead connections of all callers at the same time leave no slot acquired', async (t) => {
      const { url } = await mustOpenTestDatabase(t);
      const proxy = await mustOpenProxy(t, url);
      const { sql, stats, ...database } = mustConnect(t, { url: proxy.url, poolSize: 4 });
      await Promise.all(Array.from({ length: 4 }, () => sql`select pg_sleep(0.1)`));
      proxy.stall();
      const asked = await Promise.allSettled([
        ...Array.from({ length: 20 }, () => sql`select ${1}::int`),
        ...Array.from({ length: 20 }, () => database.transaction((tx) => tx`select 1`)),
      ]);
      assert.ok(asked.filter(({ status }) => status === 'rejected').length <= 8);
      await Promise.all(Array.from({ length: 8 }, () => sql`select ${1}::int`));
      // The pool's own question about a pooler, and its keep-alive settings, may use a slot for a moment.
      await eventually('no slot is acquired', () => stats().inUse === 0);
    });

    test('a dead session that holds a lock is closed, and the lock is free', async (t) => {
      const url = await mustCreateDatabase(t);
      const proxy = await mustOpenProxy(t, url);
      const closed = createDeferred();
      const session = connectDirectly({
        ...{ url: proxy.url, applicationName: 'session', connectTimeoutSeconds: 5 },
        onClose: () => closed.resolve(undefined),
      });
      t.after(() => session.end({ timeout: 0 }));
      await session`select pg_advisory_lock(1)`;
      proxy.stall();
      await assert.rejects(session`select 1`, { code: 'ETIMEDOUT' });
      await closed.promise;
      const { sql } = mustConnect(t, { url });
      await eventually('the lock is free', async () => {
        return onlyRow(await sql<{ locked: boolean }[]>`select pg_try_advisory_lock(1) as locked`).locked;
      });
    });
  });

  describe('while the database cannot be reached at all', { concurrency: true }, () => {
    test('statements reject, and succeed within seconds after the network returns, twice in a row', async (t) => {
      const url = await mustCreateDatabase(t);
      const proxy = await mustOpenProxy(t, url);
      const { sql } = mustConnect(t, { url: proxy.url, poolSize: 2, connectTimeoutSeconds: 2 });
      for (let time = 1; time <= 2; time += 1) {
        await Promise.all([sql`select 1`, sql`select 1`]);
        proxy.block();
        const asked = [sql`select 1`, sql`select 1`, sql`select 1`];
        const waiting = Promise.allSettled(asked);
        await assert.rejects(asked[0] ?? sql`select 1`, hasCode('database_unavailable'));
        proxy.unblock();
        const freeAt = performance.now();
        await eventually('it answers', () =>
          sql`select 1`.then(
            () => true,
            () => false,
          ),
        );
        assert.ok(performance.now() - freeAt < healMs, `${performance.now() - freeAt} ms`);
        await waiting;
      }
    });
  });

  describe('a slow statement', { concurrency: true }, () => {
    test('a slow statement may run without a byte for long, in autocommit mode and in a transaction', async (t) => {
      const { url } = await mustOpenTestDatabase(t);
      const proxy = await mustOpenProxy(t, url);
      const { sql, transaction } = mustConnect(t, { url: proxy.url, poolSize: 3 });
      const slow = await Promise.all([
        sql`select 'alone' as name, pg_sleep(6)`,
        transaction((tx) => tx`select 'inside' as name, pg_sleep(6)`),
      ]);
      assert.deepEqual(
        slow.map((rows) => rows[0]?.name),
        ['alone', 'inside'],
      );
    });

    test('a slow statement behind a pooler may run as long as its timeout in PostgreSQL, and no longer', async (t) => {
      const { url } = await mustOpenTestDatabase(t);
      const proxy = await mustOpenProxy(t, url, { announcesOther: true });
      const { sql, ...database } = mustConnect(t, { url: proxy.url, poolSize: 1, statementTimeoutMs: 4_000 });
      await sql`select pg_sleep(3.5)`;
      proxy.stall();
      const startedAt = performance.now();
      await assert.rejects(sql`select 1`, hasCode('database_unavailable'));
      assert.ok(performance.now() - startedAt >= 9_000);
      await sql`select 1`;
      assert.equal(database.stats().inUse, 0);
    });
  });

  test('a transaction that does other work for a long time is not considered dead', async (t) => {
    const { url } = await mustOpenTestDatabase(t);
    const { transaction } = mustConnect(t, { url, poolSize: 1 });
    const result = await transaction(async (tx) => {
      await tx`select 1`;
      await delay(5_000);
      return onlyRow(await tx`select 2 as n`).n;
    });
    assert.equal(result, 2);
  });
});

test('a process that was blocked does not consider its connection dead', async (t) => {
  const { url } = await mustOpenTestDatabase(t);
  const captured = captureLog();
  const { sql } = mustConnect(t, { url, poolSize: 1, log: captured.log });
  const answer = sql`select pg_sleep(0.2)`;
  await delay(50);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000);
  await answer;
  assert.deepEqual(
    captured.lines().filter(({ event }) => event === 'database.connection_dead'),
    [],
  );
});

/** The question that a pool asks once in its life, next to the first statement, has been answered. */
async function waitUntilIdle({ sql, stats }: Database): Promise<void> {
  await sql`select 1`;
  await delay(20);
  await eventually('no query is running', () => stats().inUse === 0);
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code;
}
