/**
 * Puts a function between the driver's tag and its connections: every query that is awaited passes through it,
 * whether it was written as a tagged template or as `unsafe` text, in a transaction or out of one. What the tag
 * returns stays the driver's own query, so that fragments, helpers and types are as documented there.
 */

import type postgres from 'postgres';
import { type DriverQuery, isDriverQuery } from './driver/driver-query.ts';

/**
 * The tag that queries are written with: sql`select … where id = ${id}`. Each `${}` becomes a parameter, never text.
 * Every query of it must be awaited, or it is not sent. `sql(object)` and `sql('name')` are the helpers for columns,
 * rows and identifiers; a plain array is a parameter too.
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

/** Called instead of the driver when a query is awaited; it calls `send`, or rejects the query itself. */
export type RunQuery = (query: DriverQuery, send: SendQuery) => void;

/**
 * A tag whose queries all go through `run`: a function, and no Proxy. What the call of a Proxy leaves behind keeps each query
 * in memory until the old generation is collected (docs/performance.md).
 */
export function interceptQueries<Tag extends Sql>(tag: Tag, run: RunQuery): Tag {
  const through = (made: unknown): unknown => {
    if (isDriverQuery(made)) interceptQuery(made, run);
    return made;
  };
  const intercepted = (...args: unknown[]) => through(Reflect.apply(tag, undefined, args));
  const unsafe = (...args: unknown[]) => through(Reflect.apply(tag.unsafe, tag, args));
  // Without the types that the driver would ask the server for, its own `array` would send the wrong one.
  const array = (values: readonly unknown[], type?: number) =>
    type === undefined ? values : Reflect.apply(tag.typed, tag, [values, type]);

  return Object.assign(intercepted, tag, { unsafe, array });
}

/** The same for a single query of the driver's own tag. */
export function interceptQuery(query: DriverQuery, run: RunQuery): void {
  const send = query.handler;
  query.handler = (self) => run(self, send);
}
