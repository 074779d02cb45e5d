/**
 * Statements on the table of jobs that do not need a runner: insert, find, cancel, retry, prune. Each function is one
 * statement unless its comment gives a reason, accepts the `sql` of a transaction or of a pool, and rejects with the
 * errors of the database. `attempt-store.ts` has what a runner does to the jobs it has claimed, `runner-store.ts` the
 * runners.
 *
 * All times are the database's, from `clock_timestamp()`: `now()` is the start of the transaction, and the transaction
 * that enqueues a job, or completes one in `ctx.tx`, may have started much earlier. Statements that are a transaction
 * of their own and only compare times use `now()`, because it can be used to search an index.
 */

import type { Sql } from '../db/sql.ts';
import type { Job, JobStatus } from './job.ts';
import type { StoredTrace } from './job-trace.ts';

// The NOTIFY channels that wake the runners. A message is only a hint: a runner that misses one finds the same by polling, so
// nothing depends on delivery.

/** A job can be claimed. The payload is the name of its queue. */
export const availableChannel = 'strata_jobs_available';

/** A running job must be cancelled. The payload is its id. */
export const cancelChannel = 'strata_jobs_cancel';

export interface NewJob extends StoredTrace {
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
  /** Null to run at once. */
  readonly runAt: Date | null;
}

export interface InsertedJob {
  readonly job: Job;
  /** False if an unfinished job had the unique key; that job is returned. */
  readonly isNew: boolean;
}

/**
 * Adds a job: `scheduled` if its time is in the future, else `available`. Wakes the runners when the transaction
 * commits.
 */
export async function insertJob(sql: Sql, added: NewJob): Promise<InsertedJob> {
  for (;;) {
    const [row] = await sql<(Job & { isNew: boolean })[]>`
      with wanted as (
        select greatest(${added.runAt}::timestamptz, clock_timestamp()) as run_at,
          coalesce(${added.runAt} > clock_timestamp(), false) as is_later
      ), inserted as (
        insert into jobs
          (name, queue, state, priority, payload, unique_key, user_id, request_id, traceparent, tracestate,
            max_attempts, timeout_ms, run_at, created_at)
        select
          ${added.name}, ${added.queue}, case when is_later then 'scheduled' else 'available' end, ${added.priority},
          ${added.payload}::text::jsonb, ${added.uniqueKey}, ${added.userId}, ${added.requestId},
          ${added.traceparent}, ${added.tracestate}, ${added.maxAttempts}, ${added.timeoutMs}, run_at, clock_timestamp()
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
    // Another transaction added or finished a job with this key while the statement ran: the next statement sees it.
  }
}

export async function findJob(sql: Sql, id: number): Promise<Job | undefined> {
  const [job] = await sql<Job[]>`select ${wholeJob(sql)} from jobs where id = ${id}`;
  return job;
}

/** Returns the jobs that exist, ordered by id. */
export function findJobs(sql: Sql, ids: readonly number[]): Promise<JobStatus[]> {
  return sql<JobStatus[]>`select ${jobStatus(sql)} from jobs where id = any(${[...ids]}) order by id`;
}

export interface CancelledJob {
  readonly job: Job;
  /** False if it had finished or was being cancelled already; it is returned unchanged. */
  readonly isChanged: boolean;
}

/**
 * Cancels a waiting job, or asks the runner of a running one to stop it. Returns undefined if the job does not exist.
 * Two statements, because the second must see the change that the first may have waited for.
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
 * Makes a failed or cancelled job available again, with at least one attempt left. Returns undefined if no job with
 * this id has failed or been cancelled. Violates the constraint `jobs_unique_key` if another unfinished job has its
 * unique key.
 */
export async function retryJob(sql: Sql, id: number): Promise<Job | undefined> {
  const [job] = await sql<Job[]>`
    with retried as (
      update jobs set
        state = 'available', max_attempts = greatest(max_attempts, attempt + 1), run_at = clock_timestamp(), finished_at = null,
        retries = ${withRetry(sql)}, progress = 0, progress_message = null, losses = least(losses, 1), revision = revision + 1
      where id = ${id} and state in ('failed', 'cancelled')
      returning *
    )
    select ${wholeJob(sql)}, ${notifyAvailable(sql)} from retried as jobs`;
  return job === undefined ? undefined : withoutNotified(job);
}

/**
 * Makes scheduled jobs available now, as their `run_at` would. Returns the ids of those that were scheduled. The time is
 * recorded with the retries, because `run_at` no longer shows when the job was due.
 */
export async function runJobsNow(sql: Sql, ids: readonly number[]): Promise<number[]> {
  const rows = await sql<{ id: number }[]>`
    with own as (
      select id from jobs where id = any(${[...ids]}::bigint[]) and state = 'scheduled' order by id for update
    ), started as (
      update jobs set
        state = 'available', run_at = clock_timestamp(), retries = ${withRetry(sql)}, revision = revision + 1
      from own where jobs.id = own.id
      returning jobs.id, state, queue
    )
    select id, ${notifyAvailable(sql)} from started order by id`;
  return rows.map(({ id }) => id);
}

export interface KeepDays {
  /** How long completed jobs are kept. */
  readonly completedDays: number;
  /** How long failed and cancelled jobs are kept. */
  readonly failedDays: number;
}

/** Deletes at most `limit` jobs that finished longer ago than `KeepDays`. Returns how many were deleted. */
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

/** Notifies the runners for each row that is available. The column `notified` has no meaning. */
export function notifyAvailable(sql: Sql) {
  return sql`case when state = 'available' then pg_notify(${availableChannel}, queue)::text end as notified`;
}

/** Returns the row without the column of `notifyAvailable`. */
export function withoutNotified<Row extends object>(
  row: Row & { readonly notified?: unknown },
): Omit<Row, 'notified'> {
  const { notified, ...rest } = row;
  return rest;
}

/** The current time as ISO 8601 in UTC, for JSON. */
export function isoNow(sql: Sql) {
  return sql`to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/** Appends the current time to the retries of a job. Only the last 20 are kept. */
function withRetry(sql: Sql) {
  return sql`
    (case when jsonb_array_length(retries) >= 20 then retries - 0 else retries end) || to_jsonb(${isoNow(sql)})`;
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
