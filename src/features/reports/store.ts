import type { Sql } from '../../db/sql.ts';
import type { DailyCount } from '../feature.ts';

export interface DayCounts {
  /** Rows of the day for each daily count, by its name. */
  readonly counts: Readonly<Record<string, number>>;
  /** Jobs that finished that day, by their final state. */
  readonly jobs: Readonly<Record<FinishedState, number>>;
}

type FinishedState = 'completed' | 'failed' | 'cancelled';

/**
 * Counts the existing rows of a day (UTC) in one statement, so that all counts see the same snapshot. Without an index on
 * the time, it scans whole tables; once a day, that is cheaper than another index on every write.
 */
export async function countDay(
  sql: Sql,
  day: string,
  dailyCounts: readonly DailyCount[],
): Promise<DayCounts> {
  const counted = dailyCounts.map(
    ({ name, times }) => sql`
      union all
      select ${name}::text, count(*)::integer from (${times(sql)}) as rows (time), day
      where time >= first_moment and time < next_day`,
  );
  const rows = await sql<{ name: string; count: number }[]>`
    with day as (
      select ${day}::date::timestamp at time zone 'UTC' as first_moment,
        (${day}::date + 1)::timestamp at time zone 'UTC' as next_day
    )
    select state as name, count(*)::integer as count
    from jobs, day
    where state in ('completed', 'failed', 'cancelled') and finished_at >= first_moment and finished_at < next_day
    group by state
    ${counted}`;
  const found = new Map(rows.map(({ name, count }) => [name, count]));
  const countOf = (name: string) => found.get(name) ?? 0;
  return {
    counts: Object.fromEntries(dailyCounts.map(({ name }) => [name, countOf(name)])),
    jobs: {
      completed: countOf('completed'),
      failed: countOf('failed'),
      cancelled: countOf('cancelled'),
    },
  };
}

/** Returns the administrators whose address is verified. */
export function listReaders(sql: Sql): Promise<{ readonly username: string; readonly email: string }[]> {
  return sql`
    select username, email from users where role = 'admin' and email_verified_at is not null order by id`;
}
