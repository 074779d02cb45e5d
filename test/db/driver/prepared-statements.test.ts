import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Sql } from '../../../src/db/sql.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustOpenProxy } from '../../helpers/postgres-proxy.ts';
import { mustConnect, mustOpenTestDatabase, testServerUrl } from '../../helpers/test-database.ts';

/** The number of statements that the only connection of a pool has prepared. */
async function prepared(sql: Sql): Promise<number> {
  const [row] = await sql<{ count: number }[]>`select count(*) from pg_prepared_statements where ${true}`;
  return row?.count ?? 0;
}

describe('statements', () => {
  it('statements are prepared when there is no pooler', async (t) => {
    const { sql } = mustConnect(t, { url: testServerUrl(), poolSize: 1 });
    assert.equal(await prepared(sql), 0);
    await eventually('they are prepared', async () => (await prepared(sql)) > 0);
  });

  it('statements are prepared also if a pool is used only for transactions', async (t) => {
    const { transaction } = mustConnect(t, { url: testServerUrl(), poolSize: 1 });
    await eventually('they are prepared', async () => (await transaction(prepared)) > 0);
  });

  it('statements are not prepared behind a pooler, which may send the next one to another backend', async (t) => {
    const proxy = await mustOpenProxy(t, testServerUrl(), { announcesOther: true });
    const { sql, transaction } = mustConnect(t, { url: proxy.url, poolSize: 1 });
    // More than the question about a pooler takes.
    for (let round = 0; round < 50; round += 1) assert.equal(await prepared(sql), 0);
    assert.equal(await transaction(prepared), 0);
  });
});

describe('a prepared statement with an outdated plan', () => {
  it('a prepared statement with an outdated plan is repeated with the same values, of any type', async (t) => {
    const { sql } = await mustOpenTestDatabase(t, { poolSize: 1 });
    await sql`create table things (flag boolean, document jsonb, bytes bytea, words text[], at timestamptz[], size int)`;
    const given = {
      flag: true,
      document: { a: ['b'] },
      bytes: Buffer.from('bytes'),
      words: ['a', 'b"c'],
      at: [new Date(0)],
    };
    const insert = async () => {
      const [row] = await sql`
        insert into things (flag, document, bytes, words, at)
        values (${given.flag}, ${sql.json(given.document)}, ${given.bytes}, ${given.words}, ${given.at.map((at) => at.toISOString())}::timestamptz[])
        returning *`;
      return { ...row };
    };
    await insert();
    await eventually('it is prepared', async () => {
      await insert();
      const rows = await sql`select from pg_prepared_statements where statement like '%insert into things%'`;
      return rows.length > 0;
    });
    await sql`alter table things alter column size type bigint`;
    assert.deepEqual(await insert(), { ...given, size: null });
    assert.deepEqual(await insert(), { ...given, size: null });
  });
});
