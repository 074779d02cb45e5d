/**
 * Databases whose defaults were changed. Each value must either have no effect, or stop the start with a sentence that
 * names the setting.
 */

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import postgres from 'postgres';
import { connectDatabase } from '../../src/db/database.ts';
import { connectDirectly } from '../../src/db/driver/direct-connection.ts';
import { migrateUp } from '../../src/db/migrations/migrate.ts';
import { findUnsuitability } from '../../src/db/suitability.ts';
import { StartError } from '../../src/errors.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { mustConnect, mustCreateDatabase, testServerUrl } from '../helpers/test-database.ts';

const server = postgres(testServerUrl(), { max: 1, onnotice: () => {} });
after(() => server.end());

/** One database for all tests, which run one after the other. Each test changes one default of it. */
const url = await mustCreateDatabase({ after }, { empty: true });
const name = new URL(url).pathname.slice(1);

async function setDefault(setting: string, value: string): Promise<void> {
  await server.unsafe(`alter database ${name} reset all`);
  await server.unsafe(`alter database ${name} set ${setting} = '${value}'`);
}

/** One value of each type that the program stores, with bytes of every kind. */
const values = {
  instant: new Date('2026-02-03T04:05:06.789Z'),
  early: new Date('1850-01-02T03:04:05.000Z'),
  bytes: Buffer.from(Array.from({ length: 256 }, (_each, index) => index)),
  fraction: 0.1 + 0.2,
  real: 0.333,
  large: 9_007_199_254_740_991,
  text: 'a\\b \'quoted\' "twice" Ünïcødé 🦊',
  json: { text: 'back\\slash', number: 0.1, list: [1, null, 'ü'] },
  texts: ['null', null, 'a\\b', 'ü'],
  numbers: [1, null, 3],
  flag: true,
};

async function roundTrip(): Promise<unknown> {
  const database = connectDatabase({
    ...{ url, poolSize: 1, statementTimeoutMs: 10_000, connectTimeoutSeconds: 5, slowQueryMs: 10_000 },
    ...{ echo: false, log: captureLog().log, applicationName: 'strata-test' },
  });
  try {
    await database.sql`
      create temporary table kept (
        instant timestamptz, early timestamptz, bytes bytea, fraction double precision, real real, large bigint,
        text text, json jsonb, texts text[], numbers integer[], flag boolean
      )`;
    const { sql } = database;
    await sql`insert into kept ${sql({ ...values, json: sql.json(values.json) })}`;
    const [row] = await sql`
      select *, extract(epoch from '1 day 2 hours 3 minutes'::interval)::integer as seconds,
        (date '2026-03-04' + 1)::timestamp at time zone 'UTC' as next_day, 'a\\b' as literal
      from kept`;
    return { ...row };
  } finally {
    await database.close(1);
  }
}

const expected = {
  ...values,
  ...{ seconds: 93_780, next_day: new Date('2026-03-05T00:00:00Z'), literal: 'a\\b' },
};

describe('session settings of the database that do not change values', () => {
  const cases: [setting: string, ...values: string[]][] = [
    ['datestyle', 'SQL, DMY', 'SQL, MDY', 'German', 'Postgres, DMY', 'ISO, DMY'],
    ['timezone', 'Asia/Kolkata', 'Europe/Amsterdam', 'America/St_Johns'],
    ['bytea_output', 'escape'],
    ['intervalstyle', 'sql_standard', 'iso_8601', 'postgres_verbose'],
    ['standard_conforming_strings', 'off'],
    ['escape_string_warning', 'off'],
    ['backslash_quote', 'off', 'on'],
    ['client_encoding', 'LATIN1', 'SQL_ASCII'],
    ['lc_numeric', 'C'],
    ['lc_monetary', 'C'],
    ['lc_time', 'C'],
    ['lc_messages', 'C'],
    ['row_security', 'off'],
    ['xmloption', 'document'],
    ['quote_all_identifiers', 'on'],
    ['statement_timeout', '1ms'],
    ['lock_timeout', '1s'],
    ['idle_in_transaction_session_timeout', '1s'],
    ['idle_session_timeout', '1s'],
    ['extra_float_digits', '1', '3'],
    ['default_transaction_deferrable', 'on'],
    ['plan_cache_mode', 'force_generic_plan'],
    ['synchronous_commit', 'off'],
    ['session_replication_role', 'local'],
  ];
  for (const [setting, ...changed] of cases) {
    for (const value of changed) {
      test(`values are read as they were written if the database sets ${setting} = ${value}`, async (t) => {
        await setDefault(setting, value);
        assert.deepEqual(await roundTrip(), expected);
        const { sql } = mustConnect(t, { url });
        assert.equal(await findUnsuitability(sql), undefined);
      });
    }
  }
});

describe('session settings of the database that change values', () => {
  for (const [setting, value] of [
    ['default_transaction_isolation', 'serializable'],
    ['default_transaction_isolation', 'repeatable read'],
    ['session_replication_role', 'replica'],
    ['array_nulls', 'off'],
    ['transform_null_equals', 'on'],
    ['extra_float_digits', '0'],
    ['extra_float_digits', '-15'],
  ] as const) {
    test(`a migration fails with the name of the setting if the database sets ${setting} = ${value}`, async () => {
      await setDefault(setting, value);
      await assert.rejects(migrateUp({ url, log: captureLog().log }), (error) => {
        assert.ok(error instanceof StartError);
        assert.match(error.message, new RegExp(`^The setting ${setting} of the database is "${value}"`));
        return true;
      });
    });
  }

  test('default_transaction_read_only = on', async (t) => {
    await setDefault('default_transaction_read_only', 'on');
    await assert.rejects(migrateUp({ url, log: captureLog().log }), /^StartError: The database is read-only/);
    const { sql } = mustConnect(t, { url });
    assert.equal((await findUnsuitability(sql))?.isTemporary, true);
  });
});

describe('a migration, and so the start, fails with the name of an unsuitable encoding', () => {
  for (const encoding of ['LATIN1', 'SQL_ASCII', 'EUC_JP']) {
    test(encoding, async (t) => {
      const other = `${name}_${encoding.toLowerCase()}`;
      await server.unsafe(
        `create database ${other} encoding '${encoding}' locale 'C' locale_provider libc template template0`,
      );
      t.after(() => server.unsafe(`drop database ${other} with (force)`).then(() => {}));
      const otherUrl = Object.assign(new URL(testServerUrl()), { pathname: `/${other}` }).href;
      await assert.rejects(
        migrateUp({ url: otherUrl, log: captureLog().log }),
        new RegExp(`^StartError: The database has the encoding ${encoding}, `),
      );
    });
  }
});

test('a statement timeout of the database does not apply to a connection without one', async (t) => {
  await setDefault('statement_timeout', '50ms');
  const { sql } = mustConnect(t, { url, statementTimeoutMs: 0 });
  assert.equal((await sql`select pg_sleep(0.1), 1 as one`)[0]?.one, 1);
});

test('a session that holds locks reads dates and bytes like any other connection', async (t) => {
  await setDefault('datestyle', 'SQL, DMY');
  const connection = connectDirectly({ url, applicationName: 'strata-test', connectTimeoutSeconds: 5 });
  t.after(() => connection.end());
  const [row] =
    await connection`select ${values.instant}::timestamptz as instant, ${values.bytes}::bytea as bytes`;
  assert.deepEqual({ ...row }, { instant: values.instant, bytes: values.bytes });
});
