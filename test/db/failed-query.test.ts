/**
 * A failed query never changes the result of another one. The differential test mixes failing and succeeding queries of
 * every shape at random on one pool, and compares each outcome with that of the same query on a new pool.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectDirectly } from '../../src/db/driver/direct-connection.ts';
import type { Sql } from '../../src/db/sql.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { outcomeOf, type QueryOutcome, queryShapes } from '../helpers/query-shapes.ts';
import { mustConnect, mustCreateDatabase, testServerUrl } from '../helpers/test-database.ts';

/** Fails after two rows. */
const failing = (sql: Sql) => sql`select 10 / (3 - g) as q from generate_series(1, 5) g`;

/** A pseudo-random number generator (mulberry32), so that a failing run can be repeated with its seed. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe('the stack of a failed query', () => {
  it('nothing formats a stack when a query fails or its connection breaks, and the stack names the statement', async (t) => {
    const url = await mustCreateDatabase(t);
    const { sql } = mustConnect(t, { url, poolSize: 2, log: captureLog().log });
    const { prepareStackTrace } = Error;
    t.after(() => {
      Error.prepareStackTrace = prepareStackTrace;
    });
    let formatted = 0;
    Error.prepareStackTrace = (error, frames) => {
      // The source map is only needed for other files than those of Node.
      if (frames.some((frame) => frame.getFileName()?.startsWith('node:') === false)) formatted += 1;
      return `${error.name}\n${frames.map(String).join('\n')}`;
    };
    const failure = await failing(sql).catch((error: unknown) => error);
    await sql`select pg_terminate_backend(pg_backend_pid())`.catch(() => {});
    await eventually('the pool has connected again', async () => {
      const rows = await sql`select 1`.catch(() => []);
      return rows.length === 1;
    });
    const nowhere = mustConnect(t, { url: 'postgres://nobody@127.0.0.1:1/none', log: captureLog().log });
    await assert.rejects(async () => nowhere.sql`select 1`, { code: 'database_unavailable' });
    assert.equal(formatted, 0);
    assert.ok(failure instanceof Error);
    assert.equal(
      failure.stack,
      'PostgresError: division by zero\n    at the statement: select 10 / (3 - g) as q from generate_series(1, 5) g',
    );
  });
});

describe('a query that fails after its first rows', () => {
  it('a query that fails after its first rows leaves no holes in the next result of its connection', async (t) => {
    const { sql } = mustConnect(t, { url: testServerUrl(), poolSize: 1 });
    for (let round = 0; round < 3; round += 1) {
      await assert.rejects(async () => failing(sql), { code: '22012' });
      const rows = await sql`select 8::int as n`;
      assert.deepEqual([rows.length, rows[0]], [1, { n: 8 }]);
    }
  });

  it('a query that fails on a direct connection leaves no holes in its next result', async (t) => {
    const connection = connectDirectly({
      url: testServerUrl(),
      applicationName: 'strata-test',
      connectTimeoutSeconds: 5,
    });
    t.after(() => connection.end({ timeout: 0 }));
    await assert.rejects(async () => failing(connection), { code: '22012' });
    assert.deepEqual([...(await connection`select 8::int as n`)], [{ n: 8 }]);
  });

  it('a query whose connection breaks after its first rows leaves no holes in the next result', async (t) => {
    const { sql } = mustConnect(t, { url: testServerUrl(), poolSize: 1 });
    // The rows are larger than the buffer of the server, so it sends the first rows before it reaches the tenth.
    const breaking = async () => sql`
      select repeat('x', 20000) as x, case when g = 10 then pg_terminate_backend(pg_backend_pid()) end
      from generate_series(1, 20) g`;
    await assert.rejects(breaking, { code: 'database_unavailable' });
    assert.deepEqual([...(await sql`select 8::int as n`)], [{ n: 8 }]);
  });
});

describe('queries of every shape', () => {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

  for (const [poolSize, lanes, rounds] of [
    [1, 1, 700],
    [1, 8, 700],
    [3, 12, 700],
  ] as const) {
    it(`failing and succeeding queries of ${lanes} callers on ${poolSize} connections have the same outcome as on a new connection, seed ${seed}`, async (t) => {
      const url = testServerUrl();
      const expected = new Map<string, QueryOutcome>();
      for (const { name, run } of queryShapes) {
        const fresh = mustConnect(t, { url, poolSize: 1 });
        expected.set(name, await outcomeOf(() => run(fresh)));
        await fresh.close(1);
      }
      const database = mustConnect(t, { url, poolSize });
      const random = createRandom(seed);
      let left: number = rounds;
      const callInTurn = async () => {
        while (left > 0) {
          left -= 1;
          const shape = queryShapes[Math.floor(random() * queryShapes.length)];
          assert.ok(shape !== undefined);
          assert.deepEqual(await outcomeOf(() => shape.run(database)), expected.get(shape.name), shape.name);
        }
      };
      await Promise.all(Array.from({ length: lanes }, callInTurn));
      await eventually('all connections are free', () => database.stats().inUse === 0);
    });
  }
});
