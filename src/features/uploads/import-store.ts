/**
 * SQL of the import. The rows are first staged in a temporary table, which is dropped at the commit, so that a file of any
 * size can be compared with itself and with the existing users without being in memory.
 */

import { onlyRow, type Sql } from '../../db/sql.ts';

/** A valid row, with its line in the file. */
export interface StagedUser {
  readonly line: number;
  readonly username: string;
  readonly email: string;
}

/** Comparing and copying a few million rows takes longer than the statement timeout of requests. */
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

/** Returns the first staged rows whose username or address is taken by a user or by an earlier row, and their number. */
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
      select line, 1 as rank, 'The username is already in line ' || username_line || '.' as reason
      from firsts where line > username_line
      union all
      select line, 2, 'The e-mail address is already in line ' || email_line || '.'
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

/** Copies the next staged rows to the table of users. Returns their number and the last line, which is null if none are left. */
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
