/**
 * The table of jobs, for everybody: adding, looking, cancelling, trying again, pruning. Each function is one statement,
 * or says why not, takes the `sql` of a transaction or of a pool, and rejects with the errors of the database. What a
 * runner does to the jobs it has claimed is in `attempt-store.ts`, what it says of itself in `runner-store.ts`.
 *
 * The clock is the database's, and moments are those of `clock_timestamp`: `now()` is the start of the transaction, and
 * a job is enqueued, and by `ctx.tx` completed, in a transaction that may have begun long before. Statements that are
 * their own transaction and only compare moments use `now()`, which an index can be searched with.
 */

import type { Sql } from '../db/sql.ts';
import { availableChannel, cancelChannel } from './channels.ts';
import type { Job, JobStatus } from './job.ts';

export interface NewJob {
  readonly name: string;
  readonly queue: string;
  readonly priority: number;
  /** The payload as JSON text. */
  readonly payload: string;
  readonly uniqueKey: string | null;
  readonly userId: number | null;
  readonly requestId: string | null;
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  /** Null for at once. */
  readonly runAt: Date | null;
}

export interface InsertedJob {
  readonly job: Job;
  /** False if a job with the unique key was there, which is the one returned. */
  readonly isNew: boolean;
}

/** Adds a job, and wakes the runners when the transaction is committed; `scheduled` if its time is to come. */
export async function insertJob(sql: Sql, added: NewJob): Promise<InsertedJob> {
  for (;;) {
    const [row] = await sql<(Job & { isNew: boolean })[]>`
      with wanted as (
        select greatest(${added.runAt}::timestamptz, clock_timestamp()) as run_at,
          coalesce(${added.runAt} > clock_timestamp(), false) as is_later
      ), inserted as (
        insert into jobs
          (name, queue, state, priority, payload, unique_key, user_id, request_id, max_attempts, timeout_ms, run_at,
            created_at)
        select
          ${added.name}, ${added.queue}, case when is_later then 'scheduled' else 'available' end, ${added.priority},
          ${added.payload}::text::jsonb, ${added.uniqueKey}, ${added.userId}, ${added.requestId}, ${added.maxAttempts},
          ${added.timeoutMs}, run_at, clock_timestamp()
        from wanted
        on conflict (name, unique_key)
          where unique_key is not null and state in ('available', 'scheduled', 'running') do nothing
        returning *
      )
      select ${wholeJob(sql)}, true as "isNew", ${notifyAvailable(sql)} from inserted as jobs
      union all
      select ${wholeJob(sql)}, false, null from jobs
      where name = ${added.name} and unique_key = ${added.uniqueKey} and state in ('available', 'scheduled', 'running')
        and not exists (select from inserted)`;
    if (row !== undefined) {
      const { isNew, ...job } = withoutNotified(row);
      return { job, isNew };
    }
    // Another transaction has added one with this key while the statement ran, or finished it: the next one sees.
  }
}

export async function findJob(sql: Sql, id: number): Promise<Job | undefined> {
  const [job] = await sql<Job[]>`select ${wholeJob(sql)} from jobs where id = ${id}`;
  return job;
}

/** Those of the jobs that there are, in the order of their ids. */
export function findJobs(sql: Sql, ids: readonly number[]): Promise<JobStatus[]> {
  return sql<JobStatus[]>`select ${jobStatus(sql)} from jobs where id = any(${[...ids]}) order by id`;
}

export interface CancelledJob {
  readonly job: Job;
  /** False if it had finished or was told before, and is as it was. */
  readonly isChanged: boolean;
}

/**
 * Cancels what waits, and asks the runner of what runs to end it. Undefined if there is no such job. Two statements, for
 * the second must see what the first has waited for.
 */
export async function cancelJob(sql: Sql, id: number): Promise<CancelledJob | undefined> {
  const [changed] = await sql<Job[]>`
    with changed as (
      update jobs set
        state = case when state = 'running' then state else 'cancelled' end,
        cancel_requested = state = 'running',
        finished_at = case when state = 'running' then null else clock_timestamp() end,
        revision = revision + 1
      where id = ${id} and (state in ('available', 'scheduled') or (state = 'running' and not cancel_requested))
      returning *
    )
    select ${wholeJob(sql)}, case when state = 'running' then pg_notify(${cancelChannel}, id::text)::text end as notified
    from changed as jobs`;
  if (changed !== undefined) return { job: withoutNotified(changed), isChanged: true };
  const job = await findJob(sql, id);
  return job === undefined ? undefined : { job, isChanged: false };
}

/**
 * Makes a failed or cancelled job available again, with one attempt at least. Undefined if there is none in such a
 * state. Breaks the constraint `jobs_unique_key` if another job with its unique key waits or runs.
 */
export async function retryJob(sql: Sql, id: number): Promise<Job | undefined> {
  const [job] = await sql<Job[]>`
    with retried as (
      update jobs set
        state = 'available', max_attempts = greatest(max_attempts, attempt + 1), run_at = clock_timestamp(), finished_at = null,
        retries = (case when jsonb_array_length(retries) >= 20 then retries - 0 else retries end)
          || to_jsonb(${isoNow(sql)}),
        progress = 0, progress_message = null, losses = least(losses, 1), revision = revision + 1
      where id = ${id} and state in ('failed', 'cancelled')
      returning *
    )
    select ${wholeJob(sql)}, ${notifyAvailable(sql)} from retried as jobs`;
  return job === undefined ? undefined : withoutNotified(job);
}

export interface KeepDays {
  readonly completedDays: number;
  /** Of failed and cancelled jobs. */
  readonly failedDays: number;
}

/** Deletes at most `limit` jobs that finished so long ago, and returns how many there were. */
export async function pruneJobs(
  sql: Sql,
  limit: number,
  { completedDays, failedDays }: KeepDays,
): Promise<number> {
  const { count } = await sql`
    delete from jobs where id = any(array(
      select old.id
      from (values
        ('completed', ${completedDays}::integer), ('failed', ${failedDays}), ('cancelled', ${failedDays})
      ) as kept (state, days)
      cross join lateral (
        select id from jobs
        where jobs.state = kept.state and finished_at < now() - kept.days * interval '1 day'
        order by finished_at
        limit ${limit}
        for update skip locked
      ) as old
      limit ${limit}
    ))`;
  return count;
}

/** Wakes the runners for rows that are available, as a column `notified` that says nothing. */
export function notifyAvailable(sql: Sql) {
  return sql`case when state = 'available' then pg_notify(${availableChannel}, queue)::text end as notified`;
}

/** A row without that column. */
export function withoutNotified<Row extends object>(
  row: Row & { readonly notified?: unknown },
): Omit<Row, 'notified'> {
  const { notified, ...rest } = row;
  return rest;
}

/** The present moment as ISO 8601 in UTC, as it is kept within JSON. */
export function isoNow(sql: Sql) {
  return sql`to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

function wholeJob(sql: Sql) {
  return sql`${jobStatus(sql)}, payload`;
}

function jobStatus(sql: Sql) {
  return sql`
    id, name, queue, state, priority, unique_key as "uniqueKey", user_id as "userId", request_id as "requestId",
    attempt, max_attempts as "maxAttempts", timeout_ms as "timeoutMs", losses, run_at as "runAt", runner,
    cancel_requested as "cancelRequested", progress, progress_message as "progressMessage", result, errors, retries,
    revision, created_at as "createdAt", started_at as "startedAt", finished_at as "finishedAt"`;
}
