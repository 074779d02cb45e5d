import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import {
  migrateDown,
  migrateUp,
  migrationStatus,
  pendingMigrations,
} from '../../../src/db/migrations/migrate.ts';
import { withMigrationLock } from '../../../src/db/migrations/migration-lock.ts';
import { StartError } from '../../../src/errors.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { mustConnect, mustCreateDatabase } from '../../helpers/test-database.ts';

interface Change {
  readonly up: string;
  readonly down?: string;
  readonly head?: string;
}

const createA: Change = { up: 'create table a (x int);', down: 'drop table a;' };
const createB: Change = { up: 'create table b (x int);', down: 'drop table b;' };

/** An empty database, a folder of migrations, and a connection to inspect the result. */
async function mustPrepare(t: TestContext, changes: readonly Change[]) {
  const url = await mustCreateDatabase(t, { empty: true });
  const directory = await mkdtemp(join(tmpdir(), 'strata-sql-'));
  t.after(() => rm(directory, { recursive: true }));
  const admin = postgres(url, { max: 1, onnotice: () => {} });
  t.after(() => admin.end());
  const put = async (number: number, { up, down = '', head = '' }: Change) => {
    const name = `${String(number).padStart(4, '0')}_change_${number}.sql`;
    await writeFile(
      join(directory, name),
      `-- Why.\n${head}-- migrate: up\n${up}\n-- migrate: down\n${down}\n`,
    );
  };
  for (const [index, change] of changes.entries()) await put(index + 1, change);
  const captured = captureLog();
  const tables = async () => {
    const rows = await admin`select tablename from pg_tables where schemaname = 'public' order by tablename`;
    return rows.map(({ tablename }) => String(tablename)).filter((name) => name !== 'schema_migrations');
  };
  return { options: { url, directory, log: captured.log }, admin, put, tables, captured };
}

describe('migrating up', () => {
  it('pending migrations are applied once, in order, and logged', async (t) => {
    const { options, put, tables, captured } = await mustPrepare(t, [createA]);
    assert.deepEqual(await migrateUp(options), ['0001_change_1']);
    await put(2, createB);
    assert.deepEqual(await migrateUp(options), ['0002_change_2']);
    assert.deepEqual(await migrateUp(options), []);
    assert.deepEqual(await tables(), ['a', 'b']);
    assert.deepEqual(
      captured.of('migration.applied').map(({ name }) => name),
      ['0001_change_1', '0002_change_2'],
    );
  });

  it('each file is applied once when ten processes start at the same time', async (t) => {
    const { options, admin } = await mustPrepare(t, [createA, createB, { up: 'insert into a values (1);' }]);
    const applied = await Promise.all(Array.from({ length: 10 }, () => migrateUp(options)));
    assert.deepEqual(applied.flat(), ['0001_change_1', '0002_change_2', '0003_change_3']);
    assert.equal((await admin`select from a`).length, 1);
  });

  it('a failed file leaves nothing behind, keeps earlier files, and its error names file, line and statement', async (t) => {
    const failing = { up: 'create table half (x int);\n\ninsert into half\n  select y from nowhere;' };
    const { options, tables } = await mustPrepare(t, [createA, failing, createB]);
    await assert.rejects(migrateUp(options), (error) => {
      assert.ok(error instanceof StartError);
      assert.match(
        error.message,
        /0002_change_2 failed at line 6, in "insert into half select y from nowhere"/,
      );
      assert.match(error.message, /relation "nowhere" does not exist\. No part of it was applied\.$/);
      return true;
    });
    assert.deepEqual(await tables(), ['a']);
    assert.deepEqual(
      (await migrationStatus(options)).map(({ state }) => state),
      ['applied', 'pending', 'pending'],
    );
  });

  it('a file that changed after it was applied is rejected', async (t) => {
    const { options, put } = await mustPrepare(t, [createA]);
    await migrateUp(options);
    await put(1, { up: 'create table a (x int, y int);' });
    await assert.rejects(migrateUp(options), {
      name: StartError.name,
      message: /0001_change_1 was changed after/,
    });
    assert.deepEqual(
      (await migrationStatus(options)).map(({ state }) => state),
      ['changed'],
    );
  });

  it('a file that was skipped while a later one was applied is rejected', async (t) => {
    const { options, admin } = await mustPrepare(t, [createA, createB]);
    await migrateUp(options);
    await admin`delete from schema_migrations where version = 1`;
    await assert.rejects(migrateUp(options), {
      name: StartError.name,
      message: /0001_change_1 was never applied/,
    });
  });

  it('a new migration of the program is applied below the migrations of the project', async (t) => {
    const { options, put, tables } = await mustPrepare(t, [createA]);
    await put(1001, createB);
    assert.deepEqual(await migrateUp(options), ['0001_change_1', '1001_change_1001']);
    await put(2, { up: 'create table c (x int);' });
    assert.deepEqual(await migrateUp(options), ['0002_change_2']);
    assert.deepEqual(await tables(), ['a', 'b', 'c']);
    assert.deepEqual(
      (await migrationStatus(options)).map(({ name, state }) => `${name} ${state}`),
      ['0001_change_1 applied', '0002_change_2 applied', '1001_change_1001 applied'],
    );
  });

  it('an applied migration that only a newer version of the program knows is a warning, not an error', async (t) => {
    const { options, admin, captured } = await mustPrepare(t, [createA]);
    await migrateUp(options);
    await admin`insert into schema_migrations (version, name, checksum) values (2, '0002_add_future', 'x')`;
    assert.deepEqual(await migrateUp(options), []);
    assert.equal(captured.of('migration.unknown')[0]?.name, '0002_add_future');
    const last = (await migrationStatus(options)).at(-1);
    assert.deepEqual([last?.name, last?.state], ['0002_add_future', 'unknown']);
  });

  it('an index can be built concurrently, even while another process waits to migrate', async (t) => {
    const index = {
      up: 'create index concurrently a_x on a (x);\ncreate index concurrently a_y on a ((x + 1));',
      head: '-- migrate: no-transaction\n',
    };
    const { options, admin } = await mustPrepare(t, [createA, index]);
    const applied = await Promise.all([migrateUp(options), migrateUp(options)]);
    assert.equal(applied.flat().length, 2);
    const indexes = await admin`select indexname from pg_indexes where tablename = 'a' order by 1`;
    assert.deepEqual(
      indexes.map(({ indexname }) => indexname),
      ['a_x', 'a_y'],
    );
  });

  it('the error of a file without a transaction mentions that earlier statements remain applied', async (t) => {
    const half = { up: 'create table first (x int);\nselect 1 / 0;', head: '-- migrate: no-transaction\n' };
    const { options, tables } = await mustPrepare(t, [half]);
    await assert.rejects(migrateUp(options), {
      message: /line 5, .*division by zero\. Earlier statements of the file remain applied/,
    });
    assert.deepEqual(await tables(), ['first']);
  });

  it('migrating waits for another process that migrates, but only for a limited time', async (t) => {
    const { options } = await mustPrepare(t, [createA]);
    await withMigrationLock(options.url, 0, async () => {
      await assert.rejects(migrateUp({ ...options, lockWaitMs: 100 }), {
        name: StartError.name,
        message: /Another process has been migrating/,
      });
    });
    assert.deepEqual(await migrateUp({ ...options, lockWaitMs: 100 }), ['0001_change_1']);
  });

  it('the error names an unreachable database, without its password', async (t) => {
    const { options } = await mustPrepare(t, []);
    const url = 'postgres://ada:hushhush@127.0.0.1:1/x';
    await assert.rejects(migrateUp({ ...options, url }), (error) => {
      assert.ok(error instanceof StartError);
      assert.match(
        error.message,
        /^The database does not answer: .* correct APP_DATABASE_URL \(.*ECONNREFUSED 127\.0\.0\.1:1\)\.$/,
      );
      assert.doesNotMatch(error.message, /hushhush/);
      return true;
    });
  });

  it('the error distinguishes a database that rejects the connection from one that does not answer', async (t) => {
    const { options } = await mustPrepare(t, []);
    const url = new URL(options.url);
    url.pathname = '/no_such_database';
    await assert.rejects(migrateUp({ ...options, url: url.href }), {
      name: StartError.name,
      message: /^The database accepts no connection: .* correct APP_DATABASE_URL \(.*no_such_database.*\)\.$/,
    });
  });
});

describe('migrating down', () => {
  it('the last migration, or all after a number, are reverted, newest first', async (t) => {
    const { options, tables } = await mustPrepare(t, [
      createA,
      createB,
      { up: 'select 1;', down: 'select 1;' },
    ]);
    await migrateUp(options);
    assert.deepEqual(await migrateDown(options), ['0003_change_3']);
    assert.deepEqual(await migrateDown({ ...options, to: 0 }), ['0002_change_2', '0001_change_1']);
    assert.deepEqual(await migrateDown(options), []);
    assert.deepEqual(await tables(), []);
    assert.equal((await migrateUp(options)).length, 3);
  });

  it('nothing is reverted if one of the migrations cannot be', async (t) => {
    const { options, tables } = await mustPrepare(t, [{ up: 'create table a (x int);' }, createB]);
    await migrateUp(options);
    await assert.rejects(migrateDown({ ...options, to: 0 }), { message: /0001_change_1 cannot be reverted/ });
    assert.deepEqual(await tables(), ['a', 'b']);
  });
});

describe('the status of the migrations', () => {
  it('the status lists which files are applied, changed afterwards and pending', async (t) => {
    const { options, put } = await mustPrepare(t, [createA]);
    await migrateUp(options);
    await put(2, createB);
    const states = async () => (await migrationStatus(options)).map(({ name, state }) => `${state} ${name}`);
    assert.deepEqual(await states(), ['applied 0001_change_1', 'pending 0002_change_2']);
    await put(1, { up: 'select 1;' });
    assert.deepEqual(await states(), ['changed 0001_change_1', 'pending 0002_change_2']);
  });
});

describe('pending migrations', () => {
  it('all migrations are pending in an empty database, and none afterwards', async (t) => {
    const { options } = await mustPrepare(t, [createA, createB]);
    const { sql } = mustConnect(t, { url: options.url });
    assert.deepEqual(await pendingMigrations(sql, options.directory), ['0001_change_1', '0002_change_2']);
    await migrateUp(options);
    assert.deepEqual(await pendingMigrations(sql, options.directory), []);
  });
});

const noTransaction = { head: '-- migrate: no-transaction\n' };

describe('a statement outside of a transaction that failed', () => {
  it('a failed index is not accepted as done when its file is applied again: the error names it until it is fixed', async (t) => {
    const build = {
      ...noTransaction,
      up: 'create unique index concurrently if not exists a_x_key on a (x);',
    };
    const { options, admin } = await mustPrepare(t, [
      createA,
      { up: 'insert into a values (1), (1);' },
      build,
    ]);
    await assert.rejects(
      migrateUp(options),
      /0003_change_3 failed .*could not create unique index.*\(x\)=\(1\)/,
    );
    for (let again = 0; again < 2; again += 1) {
      await assert.rejects(
        migrateUp(options),
        /^StartError: The index a_x_key of the table a is not valid.*run "drop index concurrently a_x_key", and migrate/,
      );
      assert.equal((await migrationStatus(options))[2]?.state, 'pending');
    }
    await admin`delete from a`;
    await admin`drop index concurrently a_x_key`;
    assert.deepEqual(await migrateUp(options), ['0003_change_3']);
  });

  it('an invalid index is found directly after its statement too, even if it was invalid for another reason', async (t) => {
    const { options, admin, put } = await mustPrepare(t, [createA]);
    await migrateUp(options);
    await put(2, {
      ...noTransaction,
      up: "create index concurrently a_x_key on a (x);\nupdate pg_index set indisvalid = false where indexrelid = 'a_x_key'::regclass;",
    });
    await assert.rejects(migrateUp(options), /The index a_x_key of the table a is not valid/);
    assert.equal((await admin`select from schema_migrations where version = 2`).length, 0);
  });
});

describe('an error of PostgreSQL while it migrates is one sentence with advice', () => {
  it('the error has advice for a role that may not create tables in the schema public, or not connect', async (t) => {
    const { options, admin } = await mustPrepare(t, [createA]);
    const role = `role_${randomBytes(4).toString('hex')}`;
    await admin.unsafe(`create role ${role} login password 'secret'`);
    const url = Object.assign(new URL(options.url), { username: role, password: 'secret' }).href;
    await assert.rejects(
      migrateUp({ ...options, url }),
      /^StartError: The database cannot be migrated \(permission denied for schema public\): .*grant usage, create/,
    );
    await admin.unsafe(`revoke connect on database ${new URL(url).pathname.slice(1)} from public`);
    await assert.rejects(migrateUp({ ...options, url }), /^StartError: .*permission denied for database/);
    await admin.unsafe(`drop role ${role}`);
  });

  it('the error has advice for a table schema_migrations of another program', async (t) => {
    const { options, admin } = await mustPrepare(t, [createA]);
    await admin`create table schema_migrations (version varchar primary key)`;
    for (const work of [migrateUp, migrateDown, migrationStatus]) {
      await assert.rejects(
        work(options),
        /^StartError: The table schema_migrations .* belongs to another program/,
      );
    }
  });

  it('the error has advice for a search path without a schema', async (t) => {
    const { options, admin } = await mustPrepare(t, [createA]);
    await admin.unsafe(`alter database ${new URL(options.url).pathname.slice(1)} set search_path = nowhere`);
    await assert.rejects(
      migrateUp(options),
      /^StartError: .*no schema has been selected.*: create the schema/,
    );
  });

  it('the error has advice for a table that another session has locked', async (t) => {
    const { options, admin, put } = await mustPrepare(t, [createA]);
    await migrateUp(options);
    await put(2, { up: "set local lock_timeout = '10ms';\nalter table a add column y int;" });
    await admin.begin(async (tx) => {
      await tx`lock table a`;
      await assert.rejects(
        migrateUp(options),
        /0002_change_2 failed at line 4, .*canceling statement due to lock timeout/,
      );
    });
  });
});
