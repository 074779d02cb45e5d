/**
 * Decides whether the tables of this program may be created in a database. A URL that is exported in a shell for another
 * project, or copied with a mistake, must not put our tables beside those of another program.
 *
 *     our schema_migrations                        ours: migrate
 *     no table, view or foreign table              empty: migrate, if the caller may use an empty one
 *     anything else                                foreign: migrate only if the operator has requested it explicitly
 *     schema_migrations with other columns         foreign: never, because two programs cannot share that table
 *
 * Only the schema in which the tables would be created is examined: the first one of the search_path. The tables of
 * extensions do not count.
 */

import { StartError } from '../../errors.ts';
import type { Sql } from '../sql.ts';

/** The databases without our `schema_migrations` in which it may be created. */
export type Adopts = 'none' | 'empty' | 'any';

export interface Adoption {
  readonly adopts: Adopts;
  /** Where the URL of the database came from, such as `DATABASE_URL in the environment`. */
  readonly namedBy: string;
}

/** The columns of our table. Rails, golang-migrate, dbmate and others use the same name for a table with other columns. */
const ownColumns = ['applied_at timestamp with time zone', 'checksum text', 'name text', 'version integer'];

/** How many foreign tables the error names. */
const maxNamed = 3;

/** Resolves with whether the schema has our `schema_migrations`. Rejects with a StartError if another program has one. */
export async function hasOwnRecord(sql: Sql): Promise<boolean> {
  const [row] = await sql<{ columns: string[] | null }[]>`
    select array_agg(attname || ' ' || format_type(atttypid, atttypmod)) as columns
    from pg_attribute
    where attrelid = to_regclass(quote_ident(current_schema()) || '.schema_migrations')
      and attnum > 0 and not attisdropped`;
  const columns = row?.columns ?? null;
  if (columns === null) return false;
  if (ownColumns.every((column) => columns.includes(column))) return true;
  throw foreignRecordError();
}

/** Rejects with a StartError unless the schema has our `schema_migrations` or may get it. */
export async function assertAdoptable(sql: Sql, { adopts, namedBy }: Adoption): Promise<void> {
  if ((await hasOwnRecord(sql)) || adopts === 'any') return;
  const rows = await sql<{ database: string; relation: string | null }[]>`
    select current_database() as database, relname as relation
    from (select) as one_row left join pg_class on relkind in ('r', 'p', 'v', 'm', 'f')
      and relnamespace = to_regnamespace(quote_ident(current_schema()))
      and not exists (
        select from pg_depend
        where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e')
    order by relname`;
  const database = `The database "${rows[0]?.database}", which ${namedBy} names,`;
  const tables = rows.flatMap(({ relation }) => (relation === null ? [] : [relation]));
  const [variable = ''] = namedBy.split(' ');
  const unset = variable === 'APP_DATABASE_URL' ? '' : `unset ${variable}, or `;
  if (tables.length > 0) {
    const named = tables.slice(0, maxNamed).join(', ');
    const others = tables.length - maxNamed;
    throw new StartError(
      `${database} has tables that this program did not create (${named}${others > 0 ? ` and ${others} more` : ''}), so nothing was migrated: ${unset}set APP_DATABASE_URL to another database or schema; to add the tables of this program there nevertheless, run \`npm run migrate -- up --into-existing\`.`,
    );
  }
  if (adopts === 'empty') return;
  throw new StartError(
    `${database} is empty, but may be meant for another program, so nothing was migrated: to use it, set APP_DATABASE_URL, put ${variable} into .env, or run \`npm run migrate -- up\` once; to use the embedded database, unset ${variable}.`,
  );
}

export function foreignRecordError(cause?: unknown): StartError {
  return new StartError(
    'The table schema_migrations has unexpected columns, so it belongs to another program: use another database, or another schema (the parameter schema in APP_DATABASE_URL).',
    { cause },
  );
}
