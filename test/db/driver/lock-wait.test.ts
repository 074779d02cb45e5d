/** Slow statements that wait for a lock, with a pool of one connection, which the lock makes unavailable. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import { createDeferred } from '../../../src/concurrency/deferred.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { mustConnect, mustCreateDatabase } from '../../helpers/test-database.ts';

/** A table with one row, a session of another program that can lock it, and a pool with a low limit of slow statements. */
async function mustPrepare(t: TestContext) {
  const url = await mustCreateDatabase(t, { empty: true });
  const holder = postgres(url, {
    max: 1,
    onnotice: () => {},
    connection: { application_name: 'nightly-report' },
  });
  t.after(() => holder.end({ timeout: 0 }));
  await holder`create table stock (id int primary key, amount int)`;
  await holder`insert into stock values (1, 10)`;
  const captured = captureLog();
  const database = mustConnect(t, { url, poolSize: 1, slowQueryMs: 1_000, log: captured.log });
  await database.sql`select 1`;
  /** Runs `lock` in a transaction that stays open until `release` is called. Resolves with its process id. */
  const hold = async (lock: string) => {
    const [locked, released] = [createDeferred<number>(), createDeferred()];
    const over = holder.begin(async (tx) => {
      await tx.unsafe(lock);
      const [row] = await tx`select pg_backend_pid() as pid`;
      locked.resolve(Number(row?.pid));
      await released.promise;
    });
    return {
      pid: await locked.promise,
      async release() {
        released.resolve();
        await over;
      },
    };
  };
  return { database, captured, hold };
}

describe('the log of a slow statement', () => {
  it('a statement that waited for a table lock names the lock, the table and the session that held it', async (t) => {
    const { database, captured, hold } = await mustPrepare(t);
    const { pid, release } = await hold('lock table stock in access exclusive mode');
    setTimeout(release, 1_700);
    await database.sql`select amount from stock`;
    const [line] = captured.of('slow.query');
    assert.equal(line?.lock, 'relation AccessShareLock, stock');
    const [holder] = holdersOf(line);
    assert.deepEqual(
      [holder?.pid, holder?.application, holder?.state],
      [pid, 'nightly-report', 'idle in transaction'],
    );
    assert.ok(Number(holder?.transaction_seconds) > 0);
    assert.ok(!('waits' in (holder ?? {})));
  });

  it('a statement in a transaction that waited for a row, and timed out, names the table and the session that held it', async (t) => {
    const { database, captured, hold } = await mustPrepare(t);
    const { pid, release } = await hold('update stock set amount = 9');
    const work = database.transaction(async (sql) => {
      await sql`set local statement_timeout = 1700`;
      await sql`update stock set amount = 8 where id = ${1}`;
    });
    await assert.rejects(work, { code: 'database_timeout' });
    await release();
    const line = captured.of('slow.query').at(-1);
    assert.equal(line?.failed, '57014');
    assert.equal(line?.lock, 'transactionid ShareLock, stock');
    assert.equal(holdersOf(line)[0]?.pid, pid);
  });

  it('the log line of a slow statement that waits for no lock names no lock', async (t) => {
    const { database, captured } = await mustPrepare(t);
    await database.sql`select pg_sleep(1.6)`;
    const [line] = captured.of('slow.query');
    assert.ok(line !== undefined && !('lock' in line) && !('lock_holders' in line));
  });

  it('no connection is opened for statements that are fast', async (t) => {
    const { database } = await mustPrepare(t);
    const startedAt = performance.now();
    while (performance.now() - startedAt < 700) await database.sql`select amount from stock`;
    const rows = await database.sql`
      select pid from pg_stat_activity where application_name = 'strata-test' and datname = current_database()`;
    assert.equal(rows.length, 1);
  });
});

interface Holder {
  readonly pid: number;
  readonly application: string;
  readonly state: string;
  readonly transaction_seconds: number;
}

function holdersOf(line: Readonly<Record<string, unknown>> | undefined): readonly Partial<Holder>[] {
  const holders = line?.lock_holders;
  assert.ok(Array.isArray(holders));
  return holders;
}
