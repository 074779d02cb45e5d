import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import { migrateUp } from '../../../src/db/migrations/migrate.ts';
import { listMigrations, migrationDirectory } from '../../../src/db/migrations/migration-file.ts';
import { StartError } from '../../../src/errors.ts';
import { createLifecycle } from '../../../src/program/lifecycle.ts';
import { openDatabaseServer } from '../../../src/program/parts/open-database.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { mustCreateDatabase } from '../../helpers/test-database.ts';

const { log } = captureLog();

/** Where the URL of the database is set. */
type Place = 'DATABASE_URL' | 'APP_DATABASE_URL' | '.env';

const ownTables = async (url: string) => void (await migrateUp({ url, log }));
const sqlTables = (text: string) => async (url: string) => {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  await sql.unsafe(text).finally(() => sql.end());
};

/** Opens the database as the start does. Resolves with its error. */
async function open(t: TestContext, url: string, place: Place, extra: Record<string, string> = {}) {
  const folder = await mustMakeFolder(t);
  const envFile = join(folder, '.env');
  await writeFile(envFile, place === '.env' ? `DATABASE_URL=${url}\n` : '');
  const env = { APP_DATA_DIR: folder, ...extra, ...(place === '.env' ? {} : { [place]: url }) };
  const { settings } = loadSettings({ env, envFile });
  const lifecycle = createLifecycle(log);
  const error = await openDatabaseServer(settings, log, lifecycle).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  await lifecycle.closeAll();
  return error;
}

async function tablesOf(url: string): Promise<string[]> {
  const sql = postgres(url, { max: 1 });
  const rows = await sql`
    select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by relname`;
  await sql.end();
  return rows.map(({ relname }) => String(relname));
}

describe('the start and the database of the settings', () => {
  const shop = 'create table orders (id int); create table items (id int)';
  const cases: {
    readonly it: string;
    readonly prepare?: (url: string) => Promise<void>;
    readonly place: Place;
    readonly env?: Record<string, string>;
    readonly refused?: RegExp;
  }[] = [
    {
      it: 'an empty database of a DATABASE_URL that the shell exports is not migrated',
      place: 'DATABASE_URL',
      refused:
        /^The database "test_\w+", which DATABASE_URL in the environment names, is empty, .*put DATABASE_URL into \.env/,
    },
    { it: 'an empty database of a DATABASE_URL in .env is migrated', place: '.env' },
    { it: 'an empty database of APP_DATABASE_URL is migrated', place: 'APP_DATABASE_URL' },
    {
      it: 'an empty database of a DATABASE_URL outside of local is migrated',
      place: 'DATABASE_URL',
      env: { APP_ENVIRONMENT: 'test' },
    },
    {
      it: 'a database with tables of another program is not migrated',
      prepare: sqlTables(shop),
      place: 'DATABASE_URL',
      refused:
        /has tables that this program did not create \(items, orders\), so nothing was migrated: unset DATABASE_URL, or set APP_DATABASE_URL to another .*--into-existing`\.$/,
    },
    {
      it: 'a database with tables of another program is not migrated by APP_DATABASE_MIGRATE=true either',
      prepare: sqlTables(shop),
      place: 'APP_DATABASE_URL',
      env: { APP_DATABASE_MIGRATE: 'true' },
      refused: /has tables that this program did not create .* nothing was migrated: set APP_DATABASE_URL/,
    },
    {
      it: 'a database that has our migrations is migrated wherever its URL comes from',
      prepare: ownTables,
      place: 'DATABASE_URL',
    },
    {
      it: 'a database with the schema_migrations of Rails is not migrated',
      prepare: sqlTables('create table schema_migrations (version varchar primary key)'),
      place: 'APP_DATABASE_URL',
      refused: /^The table schema_migrations has unexpected columns/,
    },
    {
      it: 'a database with the schema_migrations of golang-migrate is not migrated',
      prepare: sqlTables(
        'create table schema_migrations (version bigint primary key, dirty boolean not null)',
      ),
      place: 'APP_DATABASE_URL',
      refused: /^The table schema_migrations has unexpected columns/,
    },
    {
      it: 'a schema_migrations with the names of our columns but other types is not ours',
      prepare: sqlTables(
        'create table schema_migrations (version varchar, name varchar, checksum varchar, applied_at timestamp)',
      ),
      place: 'APP_DATABASE_URL',
      refused: /^The table schema_migrations has unexpected columns/,
    },
    {
      it: 'a database migrated by another program that uses the same tool is not migrated',
      async prepare(url) {
        await ownTables(url);
        await sqlTables("update schema_migrations set name = '0002_create_carts' where version = 2")(url);
      },
      place: 'APP_DATABASE_URL',
      refused: /^The database records 0002_create_carts as migration 2, which is 0002_create_sessions here/,
    },
    {
      it: 'the tables of an extension do not make a database foreign',
      prepare: sqlTables('create extension pg_stat_statements'),
      place: 'APP_DATABASE_URL',
    },
  ];
  for (const { it: name, prepare, place, env, refused } of cases) {
    it(name, async (t) => {
      const url = await mustCreateDatabase(t, { empty: true });
      await prepare?.(url);
      const before = await tablesOf(url);
      const error = await open(t, url, place, env);
      const after = await tablesOf(url);
      if (refused === undefined) {
        assert.equal(error, undefined);
        assert.ok(after.includes('users'));
      } else {
        assert.ok(error instanceof StartError, String(error));
        assert.match(error.message, refused);
        assert.deepEqual(after, before);
      }
    });
  }

  it('the embedded database is migrated', async (t) => {
    const folder = await mustMakeFolder(t);
    const { settings } = loadSettings({ env: { APP_DATA_DIR: folder }, envFile: null });
    const lifecycle = createLifecycle(log);
    t.after(() => lifecycle.closeAll());
    const url = await openDatabaseServer(settings, log, lifecycle);
    const sql = postgres(url ?? '', { max: 1 });
    const rows = await sql`select name from schema_migrations`.finally(() => sql.end());
    assert.equal(rows.length, (await listMigrations(migrationDirectory)).length);
  });
});
