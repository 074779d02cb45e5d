/**
 * Queries of every shape that the driver supports, each with an outcome that depends on nothing else: results, errors
 * in the first row, in a later row, in the client, cancellations, timeouts, transactions.
 */

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '../../src/db/database.ts';
import { sqlState } from '../../src/db/database-error.ts';
import type { Sql } from '../../src/db/sql.ts';
import { runInRequest } from '../../src/observability/request-context.ts';

/** The outcome of a query for its caller, in plain values. */
export type QueryOutcome = { readonly value: unknown } | { readonly failed: unknown };

export interface QueryShape {
  readonly name: string;
  readonly run: (database: Database) => Promise<unknown>;
}

/** Runs the query and returns its outcome in plain values, which can be compared. */
export async function outcomeOf(run: () => Promise<unknown>): Promise<QueryOutcome> {
  try {
    return { value: plain(await run()) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return { failed: sqlState(error) ?? code ?? String(error) };
  }
}

/** A result with all properties that the driver adds. Holes of an array remain visible. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  if (!Array.isArray(value)) return value;
  const items: unknown[] = Array.from(value, plain);
  const holes = items.filter((_, index) => !(index in value)).length;
  const of = (name: string): unknown => Reflect.get(value, name);
  const columns = of('columns');
  const names = Array.isArray(columns)
    ? columns.map((column: { readonly name: string }) => column.name)
    : null;
  return { command: of('command'), count: of('count'), names, length: value.length, holes, items };
}

/** A request that is aborted while its query sends rows. Rejects with the reason of the abort. */
function abortMidway(work: () => Promise<unknown>): Promise<unknown> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error('The client is gone.')), 4);
  return runInRequest({ id: 'req-1', signal: controller.signal }, work).finally(() => clearTimeout(timer));
}

/** Sends a row about every millisecond, each at once, until it is stopped. */
const slowRows = (sql: Sql) =>
  sql`select repeat('x', 9000) as x, pg_sleep(0.001) from generate_series(1, 20000)`;

/** Five rows, of which the third cannot be computed. */
const failsInRow3 = (sql: Sql) => sql`select 10 / (3 - g) as q from generate_series(1, 5) g`;
const failsInRow3Text = 'select 10 / (3 - g) as q from generate_series(1, 5) g';

const alone: Readonly<Record<string, (sql: Sql) => Promise<unknown>>> = {
  'one row': async (sql) => sql`select 8::int as n`,
  'one row with values': async (sql) => sql`select ${8}::int as n, ${'a'} as text`,
  'no row': async (sql) => sql`select 1 as n where ${false}`,
  'a hundred rows': async (sql) => sql`select g, 'x' || g as text from generate_series(1, ${100}::int) g`,
  'no columns': async (sql) => sql`select from generate_series(1, 3)`,
  'a command without rows': async (sql) => sql`delete from pg_class where false`,
  'an empty statement': async (sql) => sql.unsafe(''),
  'a simple query': async (sql) => sql`select 8::int as n`.simple(),
  'a text': async (sql) => sql.unsafe('select g from generate_series(1, 4) g'),
  'a text with values': async (sql) => sql.unsafe('select g from generate_series(1, $1::int) g', [4]),
  'several statements': async (sql) =>
    sql.unsafe(
      'select 1 as a; select g from generate_series(1, 3) g; select 2 as b where false; select 3 as c',
    ),
  'raw rows': async (sql) => sql`select g, 'x' as x from generate_series(1, ${3}::int) g`.raw(),
  'rows of values': async (sql) => sql`select g, 'x' as x from generate_series(1, ${3}::int) g`.values(),
  'rows as they arrive': async (sql) => {
    const rows: unknown[] = [];
    const result = await sql`select g from generate_series(1, ${5}::int) g`.forEach((row) => {
      rows.push(row);
    });
    return { rows, length: Array.isArray(result) ? result.length : undefined };
  },
  'batches of a cursor': async (sql) => {
    const batches: number[][] = [];
    await sql`select g from generate_series(1, ${7}::int) g`.cursor(3, (rows) => {
      batches.push(rows.map(({ g }) => g));
    });
    return batches;
  },
  'batches of a cursor in a loop': async (sql) => {
    const batches: number[][] = [];
    for await (const rows of sql`select g from generate_series(1, ${7}::int) g`.cursor(3)) {
      batches.push(rows.map(({ g }) => g));
    }
    return batches;
  },
  'a loop over a cursor that is left early': async (sql) => {
    for await (const rows of sql`select g from generate_series(1, 7) g`.cursor(2)) {
      if (rows[0]?.g === 3) return rows.length;
    }
    return 0;
  },
  'a cursor over no rows': async (sql) => {
    const batches: number[] = [];
    for await (const rows of sql`select 1 as n where false`.cursor(2)) batches.push(rows.length);
    return batches;
  },
  'the description of a statement': async (sql) => {
    const { string, columns } = await sql`select 1::int as a, ${'x'}::text as b`.describe();
    return { string, columns: columns.map(({ name, type }) => [name, type]) };
  },

  'an error before the first row': async (sql) => sql`select 1 / 0`,
  'an error of syntax': async (sql) => sql`selec ${1}`,
  'an error in row 3': async (sql) => failsInRow3(sql),
  'an error in row 3 with values': async (sql) =>
    sql`select 10 / (${3}::int - g) as q from generate_series(1, 5) g`,
  'an error in row 3 of a simple query': async (sql) => failsInRow3(sql).simple(),
  'an error in row 3 of a text': async (sql) => sql.unsafe(failsInRow3Text),
  'an error in row 3 of the second of several statements': async (sql) =>
    sql.unsafe(`select 1 as a; ${failsInRow3Text}; select 2 as b`),
  'an error in row 3 of raw rows': async (sql) => failsInRow3(sql).raw(),
  'an error in row 3 of rows of values': async (sql) => failsInRow3(sql).values(),
  'an error in row 3 of rows as they arrive': async (sql) => failsInRow3(sql).forEach(() => {}),
  'an error in row 3 of a cursor of one batch': async (sql) => failsInRow3(sql).cursor(10, () => {}),
  'an error in row 3 of a cursor of many batches': async (sql) => failsInRow3(sql).cursor(1, async () => {}),
  'a cursor whose caller fails': async (sql) =>
    sql`select g from generate_series(1, 7) g`.cursor(3, async () => {
      throw new Error('The caller fails.');
    }),
  'an error in row 3 of a loop over a cursor': async (sql) => {
    for await (const rows of failsInRow3(sql).cursor(1)) assert.equal(rows.length, 1);
  },
  'a loop over a cursor whose caller fails': async (sql) => {
    for await (const rows of sql`select g from generate_series(1, 7) g`.cursor(2)) {
      if (rows[0]?.g === 3) throw new Error('The caller fails.');
    }
  },
  'a cursor whose caller fails with the last batch': async (sql) =>
    sql`select g from generate_series(1, 7) g`.cursor(3, async (rows) => {
      if (rows.length === 1) throw new Error('The caller fails.');
    }),
  'texts that leave a failed transaction open': async (sql) =>
    sql.unsafe(`begin; select 1; ${failsInRow3Text}`),
  'rows as they arrive whose caller fails': async (sql) =>
    sql`select g from generate_series(1, 7) g`.forEach(({ g }) => {
      if (g === 3) throw new Error('The caller fails.');
    }),
  'a value that cannot be sent': async (sql) => sql`select ${new Date(Number.NaN)}::timestamptz as at`,
  'a request that ends while a loop over a cursor waits': (sql) =>
    abortMidway(async () => {
      for await (const _ of slowRows(sql).cursor(1)) await delay(1);
    }),
  'a request that ends while a caller has the rows of a cursor': (sql) =>
    abortMidway(async () => slowRows(sql).cursor(1, () => new Promise(() => {}))),
  'a request that ends while rows arrive': (sql) => abortMidway(async () => slowRows(sql)),
  'a request that ends while rows of a text arrive': (sql) => abortMidway(async () => slowRows(sql).simple()),
};

const inTransactions: Readonly<Record<string, (database: Database) => Promise<unknown>>> = {
  'a transaction': ({ transaction }) =>
    transaction(async (sql) => [await sql`select 1 as a`, await sql`select ${2}::int as b`]),
  'a transaction with an error in row 3': ({ transaction }) =>
    transaction(async (sql) => {
      await sql`select 1`;
      await failsInRow3(sql);
    }),
  'a transaction that goes on after an error in row 3': ({ transaction }) =>
    transaction(async (sql) => {
      await sql`savepoint before`;
      const failed = await failsInRow3(sql).then(
        () => false,
        () => true,
      );
      await sql`rollback to before`;
      return [failed, await sql`select 8::int as n`];
    }),
  'a transaction that goes on after the caller of a cursor failed': ({ transaction }) =>
    transaction(async (sql) => {
      const failed = await sql`select g from generate_series(1, 7) g`
        .cursor(3, async () => {
          throw new Error('The caller fails.');
        })
        .then(
          () => false,
          () => true,
        );
      return [failed, await sql`select 8::int as n`];
    }),
  'a transaction with a statement timeout while rows arrive': ({ transaction }) =>
    transaction(async (sql) => {
      await sql`set local statement_timeout = 3`;
      await slowRows(sql);
    }),
  'a transaction whose request ends while rows arrive': ({ transaction }) =>
    abortMidway(() => transaction(async (sql) => slowRows(sql))),
};

export const queryShapes: readonly QueryShape[] = [
  ...Object.entries(alone).map(([name, run]) => ({ name, run: ({ sql }: Database) => run(sql) })),
  ...Object.entries(inTransactions).map(([name, run]) => ({ name, run })),
];
