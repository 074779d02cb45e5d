/** Tests of unsuitable databases: each way to start fails with one sentence and exit code 1, without a stack. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, it, type TestContext } from 'node:test';
import postgres from 'postgres';
import { startProgram, startWorkerProgram } from '../helpers/program.ts';
import { mustCreateDatabase, testServerUrl } from '../helpers/test-database.ts';

const server = postgres(testServerUrl(), { max: 1, onnotice: () => {} });
after(() => server.end());

const programs = { start: startProgram, worker: startWorkerProgram };

/** Returns the URL of a new database for a role that owns nothing. */
async function mustCreateFor(
  t: TestContext,
  prepare: (database: postgres.Sql) => Promise<unknown>,
): Promise<string> {
  const url = new URL(await mustCreateDatabase(t, { empty: true }));
  const role = `role_${randomBytes(4).toString('hex')}`;
  await server.unsafe(`create role ${role} login password 'secret'`);
  t.after(() => server.unsafe(`drop role ${role}`).then(() => {}));
  const admin = postgres(url.href, { max: 1, onnotice: () => {} });
  await prepare(admin).finally(() => admin.end());
  return Object.assign(url, { username: role, password: 'secret' }).href;
}

describe('the start with an unsuitable database', () => {
  const cases: [what: string, sentence: RegExp, prepare: (database: postgres.Sql) => Promise<unknown>][] = [
    [
      'the database role may not create tables',
      /^The database cannot be migrated \(permission denied for schema public\)/,
      async () => {},
    ],
    [
      'the database role may not connect',
      /^The database accepts no connection: .*permission denied for database/,
      async (database) => {
        const [row] = await database`select current_database() as name`;
        await database.unsafe(`revoke connect on database ${row?.name} from public`);
      },
    ],
    [
      'the table schema_migrations belongs to another tool',
      /^The table schema_migrations .* belongs to another program/,
      (database) =>
        database.unsafe(
          'create table schema_migrations (version varchar primary key); grant all on schema_migrations to public; grant all on schema public to public',
        ),
    ],
  ];
  for (const [what, sentence, prepare] of cases) {
    for (const [name, start] of Object.entries(programs)) {
      it(`${name} fails with one sentence if ${what}`, async (t) => {
        const url = await mustCreateFor(t, prepare);
        const program = start(t, { APP_DATABASE_URL: url, APP_DATABASE_MIGRATE: 'true' });
        program.ready.catch(() => {});
        program.management.catch(() => {});
        assert.deepEqual(await program.ended, { code: 1, signal: null });
        assert.match(program.stderr(), sentence);
        assert.equal(program.stderr().trim().split('\n').length, 1, program.stderr());
      });
    }
  }
});
