import type { Sql } from '../../db/sql.ts';

/** Resolves with whether an unfinished job of the task has this unique key. */
export async function isUndelivered(sql: Sql, task: string, uniqueKey: string): Promise<boolean> {
  const rows = await sql`
    select from jobs
    where name = ${task} and unique_key = ${uniqueKey} and state in ('available', 'scheduled', 'running')`;
  return rows.length > 0;
}

/** Resolves with whether an operator has paused the queue. */
export async function isPaused(sql: Sql, queue: string): Promise<boolean> {
  const rows = await sql`select from job_queues where name = ${queue} and paused_at is not null`;
  return rows.length > 0;
}
