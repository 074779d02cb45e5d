/**
 * Users on their way into the table: they stand in a temporary one first, which the transaction ends with, so that a file
 * of any number of rows is compared with itself and with the users that are there without being in memory.
 */

import { onlyRow, type Sql } from '../../db/sql.ts';

/** A row that fits the form of a user, and the line of the file that it is from. */
export interface StagedUser {
  readonly line: number;
  readonly username: string;
  readonly email: string;
}

/** Comparing and copying a few million rows takes longer than a request may. */
const statementMs = 300_000;

export async function createStage(tx: Sql): Promise<void> {
  await tx`select set_config('statement_timeout', ${String(statementMs)}, true)`;
  await tx`
    create temporary table staged_users (
      line integer primary key,
      username text collate "C" not null,
      email text collate "C" not null
    ) on commit drop`;
}

export async function stageUsers(tx: Sql, users: readonly StagedUser[]): Promise<void> {
  await tx`
    insert into staged_users (line, username, email)
    select * from unnest(
      ${users.map(({ line }) => line)}::integer[],
      ${users.map(({ username }) => username)}::text[],
      ${users.map(({ email }) => email)}::text[])`;
}

/** The staged rows whose name or address somebody has, or a row before them; the first ones, and how many there are. */
export async function findClashes(
  tx: Sql,
  limit: number,
): Promise<{ readonly rows: readonly { line: number; reason: string }[]; readonly total: number }> {
  await tx`analyze staged_users`;
  const rows = await tx<{ line: number; reason: string; total: number }[]>`
    with firsts as (
      select
        line, username, email,
        min(line) over (partition by lower(username)) as username_line,
        min(line) over (partition by lower(email)) as email_line
      from staged_users
    ), clashes as (
      select line, 1 as rank, 'The username stands in line ' || username_line || ' already.' as reason
      from firsts where line > username_line
      union all
      select line, 2, 'The e-mail address stands in line ' || email_line || ' already.'
      from firsts where line > email_line
      union all
      select line, 3, 'Another user has this username.'
      from staged_users where exists (select from users where lower(users.username) = lower(staged_users.username))
      union all
      select line, 4, 'Another user has this e-mail address.'
      from staged_users where exists (select from users where lower(users.email) = lower(staged_users.email))
    )
    select line, string_agg(reason, ' ' order by rank) as reason, (count(*) over ())::integer as total
    from clashes group by line order by line limit ${limit}`;
  return { rows: rows.map(({ line, reason }) => ({ line, reason })), total: rows[0]?.total ?? 0 };
}

/** Copies the next staged rows into the table. Returns how many they were, and the last one's line; null for none. */
export async function insertStaged(
  tx: Sql,
  batch: { readonly after: number; readonly limit: number; readonly passwordHash: string },
): Promise<{ readonly count: number; readonly last: number | null }> {
  const rows = await tx<{ count: number; last: number | null }[]>`
    with batch as (
      select line, username, email from staged_users
      where line > ${batch.after} order by line limit ${batch.limit}
    ), inserted as (
      insert into users (username, email, password_hash)
      select username, email, ${batch.passwordHash} from batch order by line
    )
    select count(*)::integer as count, max(line) as last from batch`;
  return onlyRow(rows);
}
