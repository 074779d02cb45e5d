import { StartError } from '../../errors.ts';
import type { Sql } from '../sql.ts';

/**
 * Rejects with a StartError that names an invalid index, which PostgreSQL maintains but does not use. A failed `create
 * index concurrently` leaves one behind, and with `if not exists` a second run would accept it as done. An index that
 * is being built, and one of a partitioned table, which is valid when each partition has its own, are ignored.
 */
export async function rejectInvalidIndexes(sql: Sql): Promise<void> {
  const [found] = await sql<{ index: string; on: string; unique: boolean }[]>`
    select indexrelid::regclass::text as index, indrelid::regclass::text as on, indisunique as unique
    from pg_index join pg_class on pg_class.oid = indexrelid
    where not indisvalid and relkind = 'i'
      and relnamespace = any(select oid from pg_namespace where nspname = any(current_schemas(false)))
      and indexrelid not in (select index_relid from pg_stat_progress_create_index)
    order by indexrelid
    limit 1`;
  if (found === undefined) return;
  const fix = found.unique ? 'remove the rows that are equal, ' : '';
  throw new StartError(
    `The index ${found.index} of the table ${found.on} is not valid, because the statement that builds it failed or was interrupted: ${fix}run "drop index concurrently ${found.index}", and migrate again.`,
  );
}
