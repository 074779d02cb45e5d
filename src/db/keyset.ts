/**
 * Keyset pagination: reads a table in pages by its key, as in `where id < 120 order by id desc limit 21`. The index
 * finds the start of any page at once, whereas `offset` reads and discards all rows before it; and rows that are added
 * or deleted meanwhile do not shift the pages. One row more than the page holds is read, to find out whether another
 * page follows.
 *
 * Pages are newest first. Towards the newer side, rows are read in the opposite order and then reversed.
 */

import type { Sql } from './sql.ts';

/** A page: at most `limit` rows next to the row `from.id`, or the newest rows. */
export interface Keyset {
  readonly limit: number;
  readonly from: { readonly side: 'older' | 'newer'; readonly id: number } | undefined;
}

/** The rows of a page, and where the neighbouring pages start, if there are any. */
export interface KeysetPage<Row> {
  readonly items: Row[];
  readonly older: { readonly side: 'older'; readonly id: number } | undefined;
  readonly newer: { readonly side: 'newer'; readonly id: number } | undefined;
}

/**
 * Returns the condition for the rows of a page, for use after `where` or `and`. `key` is the column, such as
 * `users.id`.
 */
export function keysetCondition(sql: Sql, key: string, { from }: Keyset) {
  if (from === undefined) return sql`true`;
  return from.side === 'older' ? sql`${sql(key)} < ${from.id}` : sql`${sql(key)} > ${from.id}`;
}

/** Returns the end of the statement: `order by … limit …`. */
export function keysetOrder(sql: Sql, key: string, { from, limit }: Keyset) {
  const direction = from?.side === 'newer' ? sql`asc` : sql`desc`;
  return sql`order by ${sql(key)} ${direction} limit ${limit + 1}`;
}

/** Creates the page from the rows that such a statement returned. */
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
