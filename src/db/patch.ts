import type { Sql } from './sql.ts';

/** The values that a patch can give a column. */
type Value = string | number | boolean | Date | null;

/**
 * Returns the `set` list of an update by a patch: each of `columns` that the patch has, the next version, and the time. The
 * columns are named in the code and never by a client; a column that the patch lacks stays as it is.
 *
 *     update notes set ${patchedColumns(sql, patch, ['title', 'text'])} where id = ${id}
 */
export function patchedColumns<Column extends string>(
  sql: Sql,
  patch: { readonly [Name in Column]?: Value | undefined },
  columns: readonly Column[],
) {
  const changes = columns.flatMap((column) => {
    const name: string = column;
    const value = patch[column];
    return value === undefined ? [] : [sql`${sql(name)} = ${value},`];
  });
  // The driver treats an empty list as a parameter.
  return sql`${changes.length === 0 ? sql`` : changes} version = version + 1, updated_at = now()`;
}
