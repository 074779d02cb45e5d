import { onlyRow, type Sql } from '../../db/sql.ts';

export interface DayCounts {
  readonly new_users: number;
  readonly posts: number;
  readonly sign_ins: number;
  /** Jobs that ended that day, by how they did. */
  readonly jobs: { readonly completed: number; readonly failed: number; readonly cancelled: number };
}

/**
 * Counts what a day (UTC) brought and what is still there: one statement, so all counts are of one moment. It reads the
 * tables through where no index has the time, which once a day is cheaper than another index at every write.
 */
export async function countDay(sql: Sql, day: string): Promise<DayCounts> {
  const rows = await sql<DayCounts[]>`
    with day as (
      select ${day}::date::timestamp at time zone 'UTC' as first_moment,
        (${day}::date + 1)::timestamp at time zone 'UTC' as next_day
    ), finished as (
      select state, count(*)::integer as jobs
      from jobs, day
      where state in ('completed', 'failed', 'cancelled') and finished_at >= first_moment and finished_at < next_day
      group by state
    )
    select
      (select count(*)::integer from users where created_at >= first_moment and created_at < next_day) as new_users,
      (select count(*)::integer from posts where created_at >= first_moment and created_at < next_day) as posts,
      (select count(*)::integer from sessions where created_at >= first_moment and created_at < next_day) as sign_ins,
      jsonb_build_object('completed', 0, 'failed', 0, 'cancelled', 0)
        || coalesce((select jsonb_object_agg(state, jobs) from finished), '{}') as jobs
    from day`;
  return onlyRow(rows);
}

/** Administrators who have shown that they read their address. */
export function listReaders(sql: Sql): Promise<{ readonly username: string; readonly email: string }[]> {
  return sql`
    select username, email from users where role = 'admin' and email_verified_at is not null order by id`;
}
