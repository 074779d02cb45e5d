/**
 * The tag that queries are written with, and the way to intercept them: every query that is awaited passes through one
 * function, whether it was written as a tagged template or as `unsafe` text, inside a transaction or outside. The tag
 * still returns the driver's own query, so fragments, helpers and types work as the driver documents them.
 */

import type postgres from 'postgres';
import { type DriverQuery, isDriverQuery } from './driver/driver-query.ts';

/**
 * The tag of queries: sql`select … where id = ${id}`. Each `${}` becomes a parameter, never text. A query is sent only
 * when it is awaited. `sql(object)` and `sql('name')` are helpers for columns, rows and identifiers. A plain array is a
 * parameter too.
 */
export type Sql = postgres.ISql<{ int8: number }>;

/** Returns the row of a statement that returns exactly one. Throws an Error for any other number of rows. */
export function onlyRow<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined || rows.length > 1) throw new Error(`Expected exactly one row, got ${rows.length}.`);
  return row;
}

/**
 * Returns SQL for a text in lower case, to compare with `lower(column)` of a column in the collation "C". Only the letters
 * A to Z change, in every database: a Turkish collation would make a name other than `ali` of `ALI`. null stays null.
 */
export function foldCase(sql: Sql, text: string | null) {
  return sql`lower(${text}::text collate "C")`;
}

export type SendQuery = (query: DriverQuery) => void;

/** Called instead of the driver when a query is awaited. Calls `send`, or rejects the query. */
export type RunQuery = (query: DriverQuery, send: SendQuery) => void;

/**
 * Returns a tag whose queries all go through `run`. It is a function and not a Proxy: the call of a Proxy keeps each
 * query in memory until the old generation is collected (docs/performance.md).
 */
export function interceptQueries<Tag extends Sql>(tag: Tag, run: RunQuery): Tag {
  const through = (made: unknown): unknown => {
    if (isDriverQuery(made)) interceptQuery(made, run);
    return made;
  };
  const intercepted = (...args: unknown[]) => through(Reflect.apply(tag, undefined, args));
  const unsafe = (...args: unknown[]) => through(Reflect.apply(tag.unsafe, tag, args));
  // The driver's own `array` would send the wrong type, because it does not ask the server for the array types here.
  const array = (values: readonly unknown[], type?: number) =>
    type === undefined ? values : Reflect.apply(tag.typed, tag, [values, type]);

  return Object.assign(intercepted, tag, { unsafe, array });
}

/** Intercepts a single query of the driver's own tag. */
export function interceptQuery(query: DriverQuery, run: RunQuery): void {
  const send = query.handler;
  query.handler = (self) => run(self, send);
}
