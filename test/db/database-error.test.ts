import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { isConnectFailure, isTransient, sqlState } from '../../src/db/database-error.ts';
import { AppError } from '../../src/errors.ts';
import { problemKinds } from '../../src/http/problem.ts';
import { createApiClient } from '../helpers/api-client.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustRegister, mustSignIn } from '../helpers/test-api.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { mustConnect, mustCreateDatabase, testServerUrl } from '../helpers/test-database.ts';

const admin = postgres(testServerUrl(), { max: 1, onnotice: () => {} });
after(() => admin.end());

/** The response for an error: code, status, and seconds of Retry-After. */
function answerTo(error: unknown): string {
  if (!(error instanceof AppError)) return '500';
  return `${error.code} ${problemKinds[error.code].status} ${error.headers?.['retry-after']}`;
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => assert.fail('It succeeded.'),
    (error: unknown) => error,
  );
}

describe('an error of PostgreSQL is answered according to its SQLSTATE', async () => {
  const url = await mustCreateDatabase({ after });
  const { sql } = mustConnect({ after }, { url });
  const states: readonly (readonly [answer: string, ...states: string[]])[] = [
    ['database_unavailable 503 1', '08000', '08006', '57000', '57P01', '57P02', '57P03', '57P05', '53300'],
    ['database_busy 503 1', '40001', '40P01', '40003', '55P03'],
    ['database_read_only 503 5', '25006'],
    ['database_impaired 503 10', '53000', '53100', '53200', '53400', '58000', '58030'],
    ['validation_failed 422 undefined', '22021', '22P05'],
    // Bugs in a statement, which no retry fixes, and constraints, which only features understand.
    [
      '500',
      '0A000',
      '22003',
      '22012',
      '23505',
      '23503',
      '25P02',
      '42501',
      '42601',
      '42P01',
      '54000',
      '55000',
    ],
    ['500', '55006', '58P01', 'XX000', 'XX001', 'P0001'],
  ];
  for (const [answer, ...codes] of states) {
    for (const code of codes) {
      it(`${code}: ${answer}`, async () => {
        const statement = `do $$ begin raise exception 'made' using errcode = '${code}'; end $$`;
        assert.equal(answerTo(await failureOf(sql.unsafe(statement))), answer);
      });
    }
  }

  it('57014 for a statement timeout: database_timeout 503 5', async (t) => {
    const slow = mustConnect(t, { url, statementTimeoutMs: 20 });
    assert.equal(answerTo(await failureOf(slow.sql`select pg_sleep(5)`)), 'database_timeout 503 5');
  });

  it('53400 for a query that exceeds its limit of temporary files: database_impaired 503 10', async (t) => {
    const { transaction } = mustConnect(t, { url });
    const failure = transaction(async (tx) => {
      await tx`set local temp_file_limit = '64kB'`;
      await tx`set local work_mem = '64kB'`;
      await tx`select n from generate_series(1, 200000) n order by n desc`;
    });
    assert.equal(answerTo(await failureOf(failure)), 'database_impaired 503 10');
  });
});

describe('a connection that PostgreSQL rejects is database_unavailable, and its query was never run', () => {
  const cases: [what: string, state: string, preventing: (database: string, role: string) => string[]][] = [
    [
      'allow_connections is false',
      '55000',
      (database) => [`alter database ${database} allow_connections false`],
    ],
    [
      'the role may not connect',
      '42501',
      (database) => [`revoke connect on database ${database} from public`],
    ],
    [
      'the role has too many connections',
      '53300',
      (_database, role) => [`alter role ${role} connection limit 0`],
    ],
    ['the role may not log in', '28000', (_database, role) => [`alter role ${role} nologin`]],
    ['the password is wrong', '28P01', (_database, role) => [`alter role ${role} password 'other'`]],
    ['the database does not exist', '3D000', (database) => [`drop database ${database}`]],
    ['the URL names a setting that does not exist', '42704', () => []],
  ];
  for (const [what, state, preventing] of cases) {
    it(`the connection is rejected because ${what}`, async (t) => {
      const url = new URL(await mustCreateDatabase(t));
      const role = `role_${randomBytes(4).toString('hex')}`;
      await admin.unsafe(`create role ${role} login password 'secret'`);
      t.after(() => admin.unsafe(`drop role ${role}`).then(() => {}));
      for (const statement of preventing(url.pathname.slice(1), role)) await admin.unsafe(statement);
      Object.assign(url, { username: role, password: 'secret' });
      if (state === '42704') url.search = '?options=-c%20no_such_setting%3D1';
      const { sql } = mustConnect(t, { url: url.href });
      const failure = await failureOf(sql`select 1`);
      assert.equal(answerTo(failure), 'database_unavailable 503 1');
      assert.equal(sqlState(failure), state);
      assert.equal(isConnectFailure(failure), true);
    });
  }
});

it('a transaction that PostgreSQL ended after it was idle for too long is database_unavailable', async (t) => {
  const url = await mustCreateDatabase(t);
  const { transaction, sql } = mustConnect(t, { url });
  const idle = transaction(async (tx) => {
    await tx`set local idle_in_transaction_session_timeout = '10ms'`;
    const [own] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
    for (let gone = false; !gone; ) {
      gone = (await sql`select from pg_stat_activity where pid = ${own?.pid ?? 0}`).length === 0;
    }
    await tx`select 1`;
  });
  assert.equal(answerTo(await failureOf(idle)), 'database_unavailable 503 1');
});

describe('transactions that conflict with each other', () => {
  async function mustPrepare(t: TestContext, poolSize = 10) {
    const url = await mustCreateDatabase(t, { empty: true });
    const database = mustConnect(t, { url, poolSize });
    await database.sql`create table account (id integer primary key, cents integer not null)`;
    await database.sql`insert into account values (1, 0), (2, 0)`;
    const waitForLock = async (tx: typeof database.sql, milliseconds: number) => {
      await tx`select set_config('deadlock_timeout', ${`${milliseconds}ms`}, true)`;
    };
    return { ...database, waitForLock };
  }

  it('transactions that lock two rows in opposite order all succeed eventually', async (t) => {
    const { sql, transaction, waitForLock } = await mustPrepare(t);
    const transfer = (first: number, second: number) =>
      transaction(
        async (tx) => {
          await waitForLock(tx, 5);
          await tx`update account set cents = cents + 1 where id = ${first}`;
          await tx`update account set cents = cents - 1 where id = ${second}`;
        },
        { retries: 10 },
      );
    const transfers = Array.from({ length: 40 }, (_each, at) =>
      at % 2 === 0 ? transfer(1, 2) : transfer(2, 1),
    );
    await Promise.all(transfers);
    assert.deepEqual(
      (await sql`select cents from account`).map(({ cents }) => cents),
      [0, 0],
    );
  });

  it('conflicting transactions are retried by default, and reject with database_busy without retries', async (t) => {
    const { transaction, waitForLock } = await mustPrepare(t);
    async function collide(options: { readonly retries?: number }) {
      let holders = 0;
      const bothHold = createDeferred();
      const transfer = (first: number, second: number) =>
        transaction(async (tx) => {
          await waitForLock(tx, 5);
          await tx`update account set cents = cents + 1 where id = ${first}`;
          holders += 1;
          if (holders >= 2) bothHold.resolve();
          await bothHold.promise;
          await tx`update account set cents = cents - 1 where id = ${second}`;
        }, options);
      const results = await Promise.allSettled([transfer(1, 2), transfer(2, 1)]);
      return results.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    }
    assert.deepEqual(await collide({}), []);
    const failures = await collide({ retries: 0 });
    assert.deepEqual(failures.map(answerTo), ['database_busy 503 1']);
    assert.deepEqual(failures.map(isTransient), [true]);
  });

  it('a transaction that waits too long for a lock rejects with database_busy', async (t) => {
    const { transaction } = await mustPrepare(t);
    const held = createDeferred();
    const done = createDeferred();
    const holder = transaction(async (tx) => {
      await tx`select from account where id = 1 for update`;
      held.resolve();
      await done.promise;
    });
    await held.promise;
    const waiter = transaction(async (tx) => {
      await tx`set local lock_timeout = '10ms'`;
      await tx`update account set cents = 1 where id = 1`;
    });
    assert.equal(answerTo(await failureOf(waiter)), 'database_busy 503 1');
    done.resolve();
    await holder;
  });

  it('a transaction whose statements were prepared before a migration is retried', async (t) => {
    const { sql, transaction } = await mustPrepare(t, 1);
    const read = () => transaction((tx) => tx`select * from account where id = ${1}`);
    // Until the pool knows that there is no pooler, it prepares nothing.
    await eventually('the statement is prepared', async () => {
      await read();
      return (
        (await sql`select from pg_prepared_statements where statement like 'select * from account%'`).length >
        0
      );
    });
    await sql`alter table account add column note text`;
    assert.deepEqual(Object.keys((await read())[0] ?? {}), ['id', 'cents', 'note']);
  });
});

const ready = '/api/v1/health/ready';

describe('a server whose database has become read-only', () => {
  it('the server answers reads, rejects changes with 503 and Retry-After, and is not ready', async (t) => {
    const databaseUrl = await mustCreateDatabase(t);
    const app = await mustStartApp(t, { databaseUrl });
    const api = createApiClient(app.url);
    const ada = await mustSignIn(api, 'ada');
    const name = new URL(databaseUrl).pathname.slice(1);
    await admin.unsafe(`alter database ${name} set default_transaction_read_only = on`);
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;

    // The open connections are broken, and each is detected by the query that uses it.
    await eventually('reads succeed, and readiness fails', async () => {
      const { status, body } = await api.get(ready);
      const read = await ada.get(`/api/v1/users/${ada.user.id}`);
      return (
        status === 503 &&
        /^The database is read-only/.test(body.checks.database.detail) &&
        read.status === 200
      );
    });
    const refused = await ada.patch(`/api/v1/users/${ada.user.id}`, { username: 'countess' });
    assert.deepEqual(
      { status: refused.status, code: refused.body.code, retry: refused.headers.get('retry-after') },
      { status: 503, code: 'database_read_only', retry: '5' },
    );
    assert.equal(app.log.of('database.impaired').length, 1);

    await admin.unsafe(`alter database ${name} reset default_transaction_read_only`);
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;
    await eventually('it is ready', async () => (await api.get(ready)).status === 200);
    await mustRegister(api, 'bob');
  });
});
