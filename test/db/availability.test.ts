import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import type { DatabaseOptions } from '../../src/db/database.ts';
import { AppError } from '../../src/errors.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustOpenProxy } from '../helpers/postgres-proxy.ts';
import { makeTestCircuit } from '../helpers/test-circuit.ts';
import { mustConnect, mustCreateDatabase, testServerUrl } from '../helpers/test-database.ts';

const away = { code: 'database_unavailable' };

function open(t: TestContext, options: Pick<DatabaseOptions, 'url' | 'poolSize'>) {
  const circuit = makeTestCircuit('database');
  const log = captureLog();
  const database = mustConnect(t, { ...options, createCircuit: circuit.create, log: log.log });
  const isOpen = () => circuit.changes().at(-1)?.startsWith('opened') === true;
  return { database, isOpen, log, changes: circuit.changes };
}

describe('the circuit of the database', () => {
  let admin: postgres.Sql;
  before(() => {
    admin = postgres(testServerUrl(), { max: 1 });
  });
  after(() => admin.end());

  /** Whether the database accepts connections; those that are open continue. */
  const accept = (url: string, isAccepting: boolean) =>
    admin.unsafe(`alter database ${new URL(url).pathname.slice(1)} with allow_connections ${isAccepting}`);

  it('while PostgreSQL answers nothing, queries are rejected at once, and afterwards they work again', async (t) => {
    const proxy = await mustOpenProxy(t, await mustCreateDatabase(t));
    const { database, isOpen, changes } = open(t, { url: proxy.url, poolSize: 2 });
    await database.sql`select 1`;
    proxy.block();
    // One on the open connection, one on a connection that does not open, and two that wait for a connection.
    const inProgress = database.sql`select 1`.catch((error: unknown) => error);
    const startedAt = performance.now();
    const unsent = Array.from({ length: 3 }, async () => assert.rejects(database.sql`select 1`, away));
    await Promise.all(unsent);
    assert.ok(performance.now() - startedAt < 4_000, 'a query that was not sent waited long');
    assert.equal(isOpen(), true);

    for (let times = 0; times < 5; times += 1) {
      const sentAt = performance.now();
      const error = await database.sql`select 1`.catch((reason: unknown) => reason);
      assert.ok(error instanceof AppError);
      assert.deepEqual([error.code, error.headers?.['retry-after']], ['database_unavailable', '1']);
      assert.ok(performance.now() - sentAt < 100, 'a query waited although the circuit is open');
      await assert.rejects(
        database.transaction(async () => {}),
        away,
      );
      await assert.rejects(database.ping(5_000), away);
    }
    proxy.unblock();
    await eventually('the circuit is closed', () => !isOpen());
    assert.equal((await database.sql`select 1 as one`)[0]?.one, 1);
    assert.match(changes().join(), /^opened: The database did not answer within 1000 ms,closed$/);
    assert.ok((await inProgress) instanceof AppError);
  });

  it('a connection that breaks, an error of a statement and a slow statement do not open it', async (t) => {
    const { database, changes } = open(t, { url: await mustCreateDatabase(t), poolSize: 3 });
    const slow = database.sql`select pg_sleep(1.6)`;
    const [{ pid } = { pid: 0 }] = await database.sql`select pg_backend_pid() as pid`;
    await admin`select pg_terminate_backend(${pid})`;
    await eventually('the other connections work', async () => {
      await database.sql`select 1`.catch(() => {});
      return (await database.sql`select 1`).length === 1;
    });
    await assert.rejects(database.sql`select 1 / 0`);
    await slow;
    assert.deepEqual(changes(), []);
  });

  it('while PostgreSQL accepts no further connection, queries use the open ones', async (t) => {
    const url = await mustCreateDatabase(t);
    const { database, isOpen, log, changes } = open(t, { url, poolSize: 4 });
    await database.sql`select 1`;
    await accept(url, false);
    // One or two connections are open by now.
    const queries = Array.from({ length: 4 }, async () => database.sql`select pg_sleep(0.1)`);
    const statuses = (await Promise.allSettled(queries)).map(({ status }) => status);
    assert.deepEqual(new Set(statuses), new Set(['fulfilled', 'rejected']));
    for (let times = 0; times < 5; times += 1) await database.sql`select 1`;
    assert.equal(isOpen(), false, changes().join());
    for (let times = 0; times < 10; times += 1) {
      await Promise.allSettled([1, 2, 3, 4].map(async () => database.sql`select 1`));
    }
    assert.equal(log.of('database.unavailable').length, 1);
    await accept(url, true);
  });

  it('a transaction in progress continues while the circuit is open', async (t) => {
    const url = await mustCreateDatabase(t);
    const { database, isOpen } = open(t, { url, poolSize: 2 });
    const [started, opened] = [createDeferred(), createDeferred()];
    const transaction = database.transaction(async (sql) => {
      await sql`create table kept (id integer)`;
      started.resolve();
      await opened.promise;
      await sql`insert into kept values (1)`;
    });
    await started.promise;
    await accept(url, false);
    await assert.rejects(database.sql`select 1`, away);
    await eventually('the circuit is open', isOpen);
    opened.resolve();
    await transaction;
    await accept(url, true);
    await eventually('the circuit is closed', () => !isOpen());
    assert.equal((await database.sql`select id from kept`).length, 1);
  });
});
