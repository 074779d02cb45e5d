/** The same rules apply in every database, whatever locale it was created with. */

import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { migrateDown, migrateUp } from '../../src/db/migrations/migrate.ts';
import { migrationDirectory } from '../../src/db/migrations/migration-file.ts';
import { createApiClient } from '../helpers/api-client.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { locales } from '../helpers/locales.ts';
import { testPassword as password } from '../helpers/test-api.ts';
import { mustStartApp } from '../helpers/test-app.ts';
import { mustConnect, mustCreateDatabase } from '../helpers/test-database.ts';

const { log } = captureLog();

for (const [name, locale] of Object.entries(locales)) {
  describe(`in a database with the locale ${name}`, () => {
    it('a username and an address are accepted in any case, and log in to the account in any case', async (t) => {
      const databaseUrl = await mustCreateDatabase(t, { empty: true, locale });
      await migrateUp({ url: databaseUrl, log });
      const app = await mustStartApp(t, { databaseUrl });
      const api = createApiClient(app.url);
      const register = (username: string, email: string) =>
        api.post('/api/v1/users', { username, email, password });

      assert.equal((await register('ali_i', 'INFO@example.org')).status, 201);
      for (const [username, email, taken] of [
        ['ALI_I', 'other@example.org', '/username'],
        ['Ali_I', 'other@example.org', '/username'],
        ['other', 'info@example.org', '/email'],
        ['other', 'Info@EXAMPLE.org', '/email'],
      ] as const) {
        const { status, body } = await register(username, email);
        assert.deepEqual({ status, taken: body.errors?.[0]?.pointer }, { status: 409, taken });
      }
      for (const login of ['ali_i', 'ALI_I', 'info@example.org', 'INFO@EXAMPLE.ORG']) {
        const { status } = await api.post('/api/v1/auth/login', { username: login, password });
        assert.equal(status, 200, login);
      }
    });
  });
}

describe('the migration to the collation "C"', () => {
  /** A Turkish database in which all earlier migrations have been applied. */
  async function mustPrepare(t: TestContext) {
    const url = await mustCreateDatabase(t, { empty: true, locale: locales['ICU tr-TR'] });
    const directory = await mkdtemp(join(tmpdir(), 'strata-sql-'));
    t.after(() => rm(directory, { recursive: true }));
    for (const file of (await readdir(migrationDirectory)).filter((each) => each < '0009')) {
      await cp(join(migrationDirectory, file), join(directory, file));
    }
    await migrateUp({ url, log, directory });
    const { sql } = mustConnect(t, { url });
    return { url, sql };
  }

  it('the migration stops with the ids of users who would share a name, and changes nothing', async (t) => {
    const { url, sql } = await mustPrepare(t);
    await sql`
      insert into users (username, email, password_hash)
      values ('ali', 'a@example.org', '-'), ('ALI', 'b@example.org', '-')`;
    await assert.rejects(migrateUp({ url, log }), /the users with the ids 1, 2 have the same username "ali"/);
    await sql`update users set username = 'ali_2', email = 'I@example.org' where id = 2`;
    await sql`update users set email = 'i@example.org' where id = 1`;
    await assert.rejects(migrateUp({ url, log }), /the users with the ids 1, 2 have the same e-mail address/);
    await sql`update users set email = 'b@example.org' where id = 2`;
    await migrateUp({ url, log });
    assert.equal((await sql`select from users`).length, 2);
  });

  it('the migration can be reverted', async (t) => {
    const { url } = await mustPrepare(t);
    await migrateUp({ url, log });
    await migrateDown({ url, log, to: 8 });
    await migrateUp({ url, log });
  });

  it('the indexes that serve a login are still used', async (t) => {
    const { url, sql } = await mustPrepare(t);
    await migrateUp({ url, log });
    await sql`
      insert into users (username, email, password_hash)
      select 'user_' || n, n || '@example.org', '-' from generate_series(1, 2000) n`;
    await sql`analyze users`;
    const plan =
      await sql`explain select from users where lower(username) = lower('USER_7'::text collate "C")`;
    assert.match(JSON.stringify(plan), /Index .*users_username_key/);
  });
});
