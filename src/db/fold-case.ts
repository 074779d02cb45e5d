import type { Sql } from './sql.ts';

/**
 * A text of a caller in lower case, as SQL, to compare with `lower(column)` of a column in the collation "C". Only
 * the letters A to Z change, in every database; with the collation of the database, a Turkish one would make `ALI` into
 * another name than `ali`. null stays null.
 */
export function foldCase(sql: Sql, text: string | null) {
  return sql`lower(${text}::text collate "C")`;
}
