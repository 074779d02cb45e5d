/**
 * Reading a table in pages by its key: `where id < 120 order by id desc limit 21`. The index finds the beginning of
 * any page at once, where `offset` would read and throw away all that stands before it, and rows that come and go
 * shift nothing. One row more than the page holds is read, to know whether another page follows.
 *
 * Pages are newest first. Towards the newer side the rows are read in the opposite order and turned round.
 */

import type { Sql } from './sql.ts';

/** Which page: at most `limit` rows beside the row `from.id`, or the newest. */
export interface Keyset {
  readonly limit: number;
  readonly from: { readonly side: 'older' | 'newer'; readonly id: number } | undefined;
}

/** The rows of a page, and where its neighbours begin, if there are any. */
export interface KeysetPage<Row> {
  readonly items: Row[];
  readonly older: { readonly side: 'older'; readonly id: number } | undefined;
  readonly newer: { readonly side: 'newer'; readonly id: number } | undefined;
}

/** The condition for the rows of a page, to stand behind `where` or `and`. `key` is the column, such as `users.id`. */
export function keysetCondition(sql: Sql, key: string, { from }: Keyset) {
  if (from === undefined) return sql`true`;
  return from.side === 'older' ? sql`${sql(key)} < ${from.id}` : sql`${sql(key)} > ${from.id}`;
}

/** The end of the statement: `order by … limit …`. */
export function keysetOrder(sql: Sql, key: string, { from, limit }: Keyset) {
  const direction = from?.side === 'newer' ? sql`asc` : sql`desc`;
  return sql`order by ${sql(key)} ${direction} limit ${limit + 1}`;
}

/** Makes the page of what such a statement returned. */
export function keysetPage<Row extends { readonly id: number }>(
  rows: readonly Row[],
  { from, limit }: Keyset,
): KeysetPage<Row> {
  const backwards = from?.side === 'newer';
  const more = rows.length > limit;
  const read = rows.slice(0, limit);
  const items = backwards ? read.toReversed() : read;
  const first = items[0];
  const last = items.at(-1);
  const hasNewer = backwards ? more : from !== undefined;
  const hasOlder = backwards || more;
  return {
    items,
    older: last !== undefined && hasOlder ? { side: 'older', id: last.id } : undefined,
    newer: first !== undefined && hasNewer ? { side: 'newer', id: first.id } : undefined,
  };
}
