import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Database, DatabaseOptions } from '../../src/db/database.ts';
import { describeUnavailable, sqlState } from '../../src/db/database-error.ts';
import type { Sql } from '../../src/db/sql.ts';
import { AppError, reasonOf } from '../../src/errors.ts';
import { currentRequest, runInRequest } from '../../src/observability/request-context.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustOpenProxy } from '../helpers/postgres-proxy.ts';
import { mustConnect, testServerUrl } from '../helpers/test-database.ts';

let pools = 0;

/** A pool, and a second one to observe the first from outside. */
function mustPrepare(t: TestContext, options: Partial<DatabaseOptions> = {}) {
  const url = testServerUrl();
  pools += 1;
  const applicationName = `pool ${pools} of ${process.pid}`;
  const captured = captureLog();
  const database = mustConnect(t, { url, log: captured.log, applicationName, ...options });
  const { sql: admin } = mustConnect(t, { url, poolSize: 1 });
  const running = async () => {
    const rows = await admin`
      select pid, query from pg_stat_activity where application_name = ${applicationName} and state = 'active'`;
    return rows.map((row) => ({ pid: Number(row.pid), query: String(row.query) }));
  };
  /** Resolves with the process id of the backend that runs a query of the tested pool, once there is one. */
  const runningPid = async () => {
    await eventually('a query runs', async () => (await running()).length > 0);
    return (await running())[0]?.pid ?? 0;
  };
  return { ...database, url, captured, admin, running, runningPid };
}

/** Calls `work` as a request does, with a signal that can be aborted. */
function inRequest<T>(work: () => Promise<T>) {
  const controller = new AbortController();
  const done = runInRequest({ id: 'req-1', signal: controller.signal }, work);
  done.catch(() => {});
  return { done, controller };
}

const gone = new Error('The client is gone.');

describe('a query', () => {
  it('a query returns numbers, dates, arrays and JSON as JavaScript values', async (t) => {
    const { sql } = mustPrepare(t);
    const [row] = await sql`
      select ${1}::int8 as id, count(*) as count, '2020-02-03T04:05:06.789Z'::timestamptz as at,
        ${['a', 'b,"c\\']}::text[] as words, array[1, null, 3]::int8[] as numbers,
        ${sql.json({ a: [1] })}::jsonb as json, null as nothing`;
    assert.deepEqual(
      { ...row },
      {
        id: 1,
        count: 1,
        at: new Date('2020-02-03T04:05:06.789Z'),
        words: ['a', 'b,"c\\'],
        numbers: [1, null, 3],
        json: { a: [1] },
        nothing: null,
      },
    );
  });

  it('a query can be composed of fragments and helpers', async (t) => {
    const { sql } = mustPrepare(t, { poolSize: 1 });
    await sql`create temporary table t (id int8, name text)`;
    await sql`insert into t ${sql([
      { id: 1, name: 'a' },
      { id: 2, name: 'b' },
    ])}`;
    const isSecond = sql`id = ${2}`;
    assert.deepEqual(
      [...(await sql`select ${sql('name')} from t where ${isSecond} and id = any(${[1, 2]})`)],
      [{ name: 'b' }],
    );
    assert.equal((await sql.unsafe('select * from t where id > $1', [0])).length, 2);
  });

  it('a value of a query is a parameter, whatever text it contains', async (t) => {
    const { sql } = mustPrepare(t);
    const attack = "'; drop table users; --";
    const [row] = await sql`select ${attack} as text`;
    assert.equal(row?.text, attack);
  });

  it('a query that is never awaited is not sent', async (t) => {
    const { sql, captured } = mustPrepare(t);
    sql`select 1 / 0`;
    await sql`select 1`;
    assert.equal(captured.of('database.query').length, 1);
  });

  it('a query rejects with the error of PostgreSQL where only its feature understands it', async (t) => {
    const { sql } = mustPrepare(t);
    await assert.rejects(
      async () => sql`select * from missing`,
      (error) => sqlState(error) === '42P01',
    );
  });

  it('a query with a text that PostgreSQL cannot store rejects with validation_failed', async (t) => {
    const { sql } = mustPrepare(t);
    await assert.rejects(async () => sql`select ${'a\0b'}::text`, {
      code: 'validation_failed',
      message: /NUL/,
    });
    await assert.rejects(async () => sql`select ${'{"a":"\\u0000"}'}::text::jsonb ->> 'a'`, {
      code: 'validation_failed',
    });
  });
});

describe('a query that takes too long', () => {
  it('a query that exceeds the statement timeout rejects with database_timeout', async (t) => {
    const { sql, running } = mustPrepare(t, { statementTimeoutMs: 50 });
    await assert.rejects(async () => sql`select pg_sleep(60)`, { code: 'database_timeout' });
    assert.deepEqual(await running(), []);
  });

  it('a slow query is logged as slow.query with its text, without its values, under its request', async (t) => {
    const { sql, captured } = mustPrepare(t, { slowQueryMs: 200 });
    await inRequest(async () => sql`select pg_sleep(0.25), ${'hushhush'} as text`).done;
    await inRequest(async () => sql`select 1`).done;
    const [line, ...others] = captured.of('slow.query');
    assert.deepEqual(others, []);
    assert.equal(line?.level, 'warning');
    assert.equal(line?.query, 'select pg_sleep(0.25), $1 as text');
    assert.equal(line?.request_id, 'req-1');
    assert.ok(Number(line?.duration_ms) >= 250);
    assert.doesNotMatch(captured.text(), /hushhush/);
  });

  it('a slow query that fails is logged as slow.query too', async (t) => {
    const { sql, captured } = mustPrepare(t, { slowQueryMs: 20, statementTimeoutMs: 40 });
    await assert.rejects(async () => sql`select pg_sleep(60)`);
    assert.equal(captured.of('slow.query')[0]?.failed, '57014');
  });
});

describe('the echo of queries', () => {
  for (const [echo, level] of [
    [true, 'info'],
    [false, 'debug'],
  ] as const) {
    it(`every query is logged at ${level} when the echo is ${echo ? 'on' : 'off'}`, async (t) => {
      const { sql, captured } = mustPrepare(t, { echo });
      await sql`select ${'hushhush'}::text as text`;
      const [line] = captured.of('database.query');
      assert.deepEqual([line?.level, line?.query, line?.rows], [level, 'select $1::text as text', 1]);
      assert.doesNotMatch(captured.text(), /hushhush/);
    });
  }

  it('each logged query names its own request, even when requests share a connection', async (t) => {
    const { sql, captured } = mustPrepare(t, { poolSize: 1 });
    await inRequest(async () => sql`select 'in'`).done;
    await sql`select 'out'`;
    assert.deepEqual(
      captured.of('database.query').map(({ query, request_id }) => [query, request_id]),
      [
        ["select 'in'", 'req-1'],
        ["select 'out'", undefined],
      ],
    );
  });
});

describe('a request that ends', () => {
  it('the running query of an aborted request is cancelled in PostgreSQL', async (t) => {
    const { sql, running, runningPid } = mustPrepare(t, { statementTimeoutMs: 0 });
    const { done, controller } = inRequest(async () => sql`select pg_sleep(60)`);
    await runningPid();
    controller.abort(gone);
    await assert.rejects(done, gone);
    await eventually('PostgreSQL has stopped', async () => (await running()).length === 0);
    assert.equal((await sql`select 1`).length, 1);
  });

  it('the waiting query of an aborted request leaves the queue', async (t) => {
    const { sql, stats, runningPid, captured } = mustPrepare(t, { poolSize: 1 });
    const first = inRequest(async () => sql`select pg_sleep(60)`);
    await runningPid();
    const second = inRequest(async () => sql`select 'second'`);
    await eventually('the second waits', () => stats().waiting === 1);
    second.controller.abort(gone);
    await assert.rejects(second.done, gone);
    assert.deepEqual(stats(), { size: 1, inUse: 1, waiting: 0 });
    first.controller.abort(gone);
    await sql`select 'third'`;
    assert.ok(captured.of('database.query').every(({ query }) => query !== "select 'second'"));
  });

  it('an aborted request sends no more queries', async (t) => {
    const { sql, captured } = mustPrepare(t);
    const ended = { id: 'req-1', signal: AbortSignal.abort(gone) };
    await assert.rejects(
      runInRequest(ended, async () => sql`select 1`),
      gone,
    );
    assert.deepEqual(captured.of('database.query'), []);
  });

  it('a request that is aborted while its connection opens does not lose that connection for the pool', async (t) => {
    const { sql } = mustPrepare(t, { poolSize: 1 });
    const { done, controller } = inRequest(async () => sql`select 1`);
    setImmediate(() => controller.abort(gone));
    await assert.rejects(done, gone);
    assert.equal((await sql`select 2`).length, 1);
  });

  it('a request leaves no listener on its signal', async (t) => {
    const { sql } = mustPrepare(t, { poolSize: 1 });
    const controller = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = controller.signal;
    controller.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      addEventListener.apply(controller.signal, args);
    };
    controller.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(controller.signal, args);
    };
    await runInRequest({ id: 'req-1', signal: controller.signal }, async () => {
      await Promise.all([sql`select 1`, sql`select 2`, sql`select 3`]);
    });
    assert.equal(listeners, 0);
  });
});

describe('a query that is cancelled although its request continues', () => {
  it('a cancellation by the operator is reported as database_unavailable', async (t) => {
    const { sql, admin, runningPid } = mustPrepare(t);
    const query = Promise.resolve(sql`select pg_sleep(60)`);
    query.catch(() => {});
    await admin`select pg_cancel_backend(${await runningPid()})`;
    await assert.rejects(query, { code: 'database_unavailable', message: /was cancelled/ });
  });
});

describe('a database that goes away', () => {
  it('interrupted queries reject with database_unavailable, and later queries reach the database again', async (t) => {
    const { sql, admin, runningPid, captured, stats } = mustPrepare(t, { poolSize: 1 });
    for (let round = 0; round < 3; round += 1) {
      const query = Promise.resolve(sql`select pg_sleep(60)`);
      query.catch(() => {});
      await admin`select pg_terminate_backend(${await runningPid()})`;
      await assert.rejects(query, { code: 'database_unavailable', headers: { 'retry-after': '1' } });
      assert.equal((await sql`select 1`).length, 1);
    }
    assert.deepEqual(stats(), { size: 1, inUse: 0, waiting: 0 });
    const changes = captured.lines().filter(({ event }) => /^database\.(un|conn)/.test(event));
    assert.deepEqual(
      changes.map(({ event }) => event),
      [1, 2, 3].flatMap(() => ['database.unavailable', 'database.connected']),
    );
  });

  it('idle connections reach the database again', async (t) => {
    const { sql, admin } = mustPrepare(t, { poolSize: 1 });
    const [row] = await sql`select pg_backend_pid() as pid`;
    await admin`select pg_terminate_backend(${Number(row?.pid)})`;
    await eventually('the next query works', async () => {
      const next = await sql`select pg_backend_pid() as pid`.catch(() => []);
      return next.length === 1 && next[0]?.pid !== row?.pid;
    });
  });

  it('every query that is sent while connections break is settled', async (t) => {
    const proxy = await mustOpenProxy(t, mustPrepare(t).url);
    const { sql, transaction, stats } = mustConnect(t, { url: proxy.url, poolSize: 4 });
    const open = () => Promise.all([1, 2, 3, 4].map(async () => sql`select pg_sleep(0.001)`));
    let settled = 0;
    const settle = () => {
      settled += 1;
    };
    for (let round = 1; round <= 30; round += 1) {
      await eventually('four connections are open', () =>
        open().then(
          () => true,
          () => false,
        ),
      );
      const next = async () => {
        void sql`select ${round}::int`.then(settle, settle);
        void transaction(async (own) => own`select 1`).then(settle, settle);
      };
      // Two connections are in use and two idle.
      for (let n = 0; n < 2; n += 1) void sql`select pg_sleep(60)`.then(next, next);
      await sql`select 1`;
      proxy.reset();
      await eventually('all are settled', () => settled === 4 * round);
    }
    assert.deepEqual(stats(), { size: 4, inUse: 0, waiting: 0 });
  });

  it('the next query waits until the broken connection has closed', async (t) => {
    const proxy = await mustOpenProxy(t, mustPrepare(t).url);
    const { sql } = mustConnect(t, { url: proxy.url, poolSize: 1 });
    for (let round = 0; round < 3; round += 1) {
      await sql`select 0`;
      const before = proxy.statements();
      const next = Promise.resolve(sql`select pg_sleep(60)`).catch(async () => sql`select 1`);
      await eventually('it sleeps', () => proxy.statements() > before);
      proxy.reset();
      for (const rows of [await next, await sql`select 2`, await sql`select 3`]) assert.equal(rows.length, 1);
    }
  });

  it('a query rejects with database_unavailable at once where nothing listens, and the log reports it once', async (t) => {
    const captured = captureLog();
    const { sql } = mustConnect(t, { url: 'postgres://ada:hushhush@127.0.0.1:1/x', log: captured.log });
    for (let round = 0; round < 3; round += 1) {
      await assert.rejects(async () => sql`select 1`, { code: 'database_unavailable' });
    }
    assert.equal(captured.of('database.unavailable').length, 1);
    assert.doesNotMatch(captured.text(), /hushhush/);
  });
});

describe('a database that rejects the connection', () => {
  const operations: Readonly<Record<string, (database: Database) => Promise<unknown>>> = {
    query: async ({ sql }) => sql`select 1`,
    transaction: ({ transaction }) => transaction(async (tx) => tx`select 1`),
    ping: ({ ping }) => ping(5_000),
  };
  const full = `full_database_test_${process.pid}`;
  for (const [what, state, reason, change] of [
    ['is full', '53300', /too many connections for role/, { username: full, password: 'full' }],
    ['rejects the password', '28P01', /password authentication failed/, { password: 'wrong' }],
    ['does not exist', '3D000', /database "nowhere" does not exist/, { pathname: '/nowhere' }],
  ] as const) {
    it(`a database that ${what} is database_unavailable, with the server's reason as the cause`, async (t) => {
      const { url, admin } = mustPrepare(t);
      const target = new URL(url);
      Object.assign(target, change);
      const database = mustConnect(t, { url: target.href, poolSize: 1 });
      if (what === 'is full') {
        await admin`create role ${admin(full)} login password 'full' connection limit 0`;
      }
      for (const [name, use] of Object.entries(operations)) {
        const error: unknown = await use(database).catch((thrown) => thrown);
        assert.ok(error instanceof AppError, name);
        assert.deepEqual([error.code, sqlState(error)], ['database_unavailable', state], name);
        assert.match(reasonOf(error), reason, name);
        assert.match(describeUnavailable(error), reason, name);
      }
      if (what === 'is full') await admin`drop role ${admin(full)}`;
      assert.equal(database.stats().inUse, 0);
    });
  }
});

describe('a statement that starts a transaction outside of transaction()', () => {
  for (const [text, isMany] of [
    ['begin', false],
    ['begin isolation level serializable read only', false],
    ['start transaction', false],
    ['/* a comment */ BEGIN', false],
    ['begin; insert into pg_temp.left_open values (1)', true],
    ['select 1; begin', true],
    ['begin; commit and chain', true],
    ['begin; savepoint a; rollback to a', true],
  ] as const) {
    it(`the statement rejects and leaves no transaction to the next query: ${text}`, async (t) => {
      const { sql, probe, stats } = mustPrepare(t, { poolSize: 1 });
      await sql`create temp table left_open (n integer)`;
      for (const tag of [sql, probe]) {
        const sent = Promise.resolve(isMany ? tag.unsafe(text).simple() : tag.unsafe(text));
        // Sent before the first one is answered, like the query of another request.
        const next = Promise.resolve(sql.unsafe('select now() = statement_timestamp() as alone'));
        await assert.rejects(sent, { message: /started a transaction.*use transaction\(\)/ });
        assert.equal((await next)[0]?.alone, true);
        assert.equal((await sql`select 1 from left_open`).length, 0);
      }
      assert.equal(stats().inUse, 0);
    });
  }
});

describe('the pool', () => {
  it('the pool runs as many queries at a time as it has connections, and the other queries in order', async (t) => {
    const { sql, stats } = mustPrepare(t, { poolSize: 1 });
    const order: number[] = [];
    const all = Promise.all(
      [1, 2, 3, 4].map(async (n) => {
        await sql`select pg_sleep(0.01)`;
        order.push(n);
      }),
    );
    await eventually('queries wait', () => stats().waiting > 0);
    assert.deepEqual(stats(), { size: 1, inUse: 1, waiting: 3 });
    await all;
    assert.deepEqual(order, [1, 2, 3, 4]);
    await eventually('the connection is free', () => stats().inUse === 0 && stats().waiting === 0);
  });

  it('a slow query does not block later ones on other connections', async (t) => {
    const { sql, runningPid } = mustPrepare(t, { poolSize: 2 });
    const slow = inRequest(async () => sql`select pg_sleep(60)`);
    await runningPid();
    await Promise.all(Array.from({ length: 20 }, async () => sql`select 1`));
    slow.controller.abort(gone);
  });

  it('a closing pool lets running queries finish, and rejects new ones', async (t) => {
    const { sql, close, runningPid } = mustPrepare(t);
    const query = Promise.resolve(sql`select pg_sleep(0.1)`);
    await runningPid();
    const closed = close(5);
    await assert.rejects(async () => sql`select 1`, { code: 'shutting_down' });
    assert.equal((await query).length, 1);
    await closed;
    assert.equal(await close(5), undefined);
  });

  it('a pool closes at its deadline although a query runs', async (t) => {
    const { sql, close, runningPid, admin } = mustPrepare(t);
    const query = Promise.resolve(sql`select pg_sleep(60)`);
    query.catch(() => {});
    const pid = await runningPid();
    await close(0.05);
    await assert.rejects(query, { code: 'database_unavailable' });
    await admin`select pg_terminate_backend(${pid})`;
  });

  it('the pool opens its connections outside of any request', async (t) => {
    const { sql, transaction } = mustPrepare(t, { poolSize: 1 });
    const seen = await inRequest(() =>
      transaction(async (tx) => {
        await tx`select 1`;
        return currentRequest()?.id;
      }),
    ).done;
    assert.equal(seen, 'req-1');
    await sql`select 1`;
    assert.equal(currentRequest(), undefined);
  });
});

describe('the ping', () => {
  it('the ping succeeds while PostgreSQL answers', async (t) => {
    const { ping } = mustPrepare(t);
    assert.equal(await ping(2000), undefined);
  });

  it('the ping does not wait behind the queries of requests when no connection is free', async (t) => {
    const { sql, ping, stats, runningPid } = mustPrepare(t, { poolSize: 1 });
    const slow = inRequest(async () => sql`select pg_sleep(60)`);
    await runningPid();
    await Promise.all([ping(2000), ping(2000)]);
    assert.equal(stats().inUse, 1);
    slow.controller.abort(gone);
  });

  it('the ping fails at once where nothing listens', async (t) => {
    const { ping } = mustConnect(t, { url: 'postgres://ada@127.0.0.1:1/x' });
    await assert.rejects(ping(5000), { code: 'database_unavailable' });
  });
});

describe('no database', () => {
  it('a query and a transaction without a database reject with a sentence that names the setting', async (t) => {
    const { sql, transaction, ping, close } = mustConnect(t, { url: null });
    const expected = { code: 'database_disabled', message: /APP_DATABASE_URL/ };
    const use = async (tag: Sql) => tag`select 1`;
    await assert.rejects(use(sql), expected);
    await assert.rejects(transaction(use), expected);
    await assert.rejects(ping(100), expected);
    await close(1);
  });
});
