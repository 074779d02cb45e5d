/**
 * The statements of a runner on jobs: it claims them, records their progress, and finishes each attempt in one of the
 * transitions that leave `running`. Each function is one statement and rejects with the errors of the database.
 *
 * Fencing: every statement that finishes an attempt names the runner and the attempt. A job that was taken over meanwhile
 * has another attempt, or none that runs; then the statement changes nothing, and the function reports that.
 *
 * - A claim locks the runner's row of `job_runners` and finds no jobs if that row is gone. So a runner that was
 *   declared dead claims nothing, not even by a statement that was already on its way.
 * - A job whose cancellation was requested becomes `cancelled`, never `scheduled` or `available`.
 * - A release and a snooze do not count the attempt: they raise the maximum, because a number must never be used twice.
 * - No write waits for a row that another transaction has locked: the row is skipped as if the attempt were no longer
 *   current, and `findStateAfter` distinguishes the two cases. One locked row would delay everything in the same batch.
 */

import type { Sql } from '../db/sql.ts';
import type { JobState } from './job.ts';
import { type StoredTrace, withAttemptSpan } from './job-trace.ts';
import { storableJson, storableText } from './json-text.ts';
import { availableChannel, isoNow } from './store.ts';
import { boundedJson } from './thread/bounded-json.ts';
import { maxDetailsBytes } from './thread/outcome.ts';
import type { Attempt, AttemptError, Progress } from './thread/thread-messages.ts';

/** One attempt of a job. Every statement that leaves `running` must match it. */
export interface AttemptKey {
  readonly id: number;
  readonly attempt: number;
}

export interface OwnAttempt extends AttemptKey {
  readonly runner: number;
}

export interface ClaimedJob extends Attempt {
  readonly queue: string;
  readonly priority: number;
  /** How many attempts were lost with their runner. A job with a loss is a suspect and runs isolated. */
  readonly losses: number;
  /** Time between `run_at` and the claim, in milliseconds. */
  readonly waitMs: number;
}

export interface ClaimOptions {
  readonly runner: number;
  /** The queues of the tasks that the runner knows. Nothing is claimed from a paused queue. */
  readonly queues: readonly string[];
  /** Maximum number of jobs that are not suspects. */
  readonly limit: number;
  /** Maximum number of suspects, which run isolated. */
  readonly suspects: number;
}

/**
 * Claims at most `limit` jobs and `suspects` suspects, by priority, then the oldest. Each queue is searched on its own,
 * so a paused queue, or one that this runner does not serve, costs nothing however many jobs wait in it. Returns an
 * empty list if the runner is not registered.
 */
export async function claimJobs(
  sql: Sql,
  { runner, queues, limit, suspects }: ClaimOptions,
): Promise<readonly ClaimedJob[]> {
  const next = (condition: Fragment, max: number) => sql`
    select waiting.id
    from owner
    cross join unnest(${[...queues]}::text[]) as served (queue)
    cross join lateral (
      select id, priority from jobs
      where jobs.queue = served.queue and state = 'available' and ${condition}
      order by priority, id
      limit ${max}
      for update skip locked
    ) as waiting
    where not exists (select from job_queues where name = served.queue and paused_at is not null)
    order by waiting.priority, waiting.id
    limit ${max}`;
  const claimed = await sql<(Omit<ClaimedJob, 'trace' | 'parent'> & StoredTrace)[]>`
    with owner as materialized (
      select id from job_runners where id = ${runner} for key share
    ), ordinary as materialized (${next(sql`losses = 0`, limit)}
    ), isolated as materialized (${next(sql`losses > 0`, suspects)}
    )
    update jobs set
      state = 'running', runner = ${runner}, attempt = attempt + 1, started_at = clock_timestamp(),
      progress = 0, progress_message = null, revision = revision + 1
    where id = any(array(select id from ordinary union all select id from isolated)) and state = 'available'
    returning
      id, name, queue, priority, payload, attempt, max_attempts as "maxAttempts", timeout_ms as "timeoutMs",
      user_id as "userId", request_id as "requestId", traceparent, tracestate, runner, losses,
      greatest(0, extract(epoch from started_at - run_at) * 1000)::float8 as "waitMs"`;
  return claimed.map(withAttemptSpan).toSorted((a, b) => a.priority - b.priority || a.id - b.id);
}

/** An attempt whose task returned. */
export interface DoneAttempt extends AttemptKey {
  /** The output of `JSON.stringify`; null if there is none. */
  readonly result: string | null;
}

/** Completes the jobs of this runner whose tasks returned. Returns the ids of those that were still its own. */
export async function completeJobs(
  sql: Sql,
  { runner, done }: { readonly runner: number; readonly done: readonly DoneAttempt[] },
): Promise<number[]> {
  const results = done.map(({ result }) => (result === null ? null : storableJson(result)));
  const rows = await sql<{ id: number }[]>`
    with own as materialized (
      select job.id, done.result
      from unnest(${idsOf(done)}::bigint[], ${attemptsOf(done)}::integer[], ${results}::text[])
        as done (id, attempt, result)
      cross join lateral (${lockOwn(sql, 'done', runner)}) as job
    )
    update jobs set ${completed(sql)}, result = own.result::jsonb from own where jobs.id = own.id
    returning jobs.id`;
  return rows.map(({ id }) => id);
}

export interface Completion extends OwnAttempt {
  /** JSON text; null if there is none. */
  readonly result: string | null;
}

/**
 * Marks the transaction that will complete the job. The mark is a local setting, so it exists until the end of the transaction: after
 * a COMMIT or ROLLBACK sent by the task it is gone, even if another transaction has started. A `SET` takes no snapshot,
 * so a task can still choose the isolation level.
 */
export async function markTransaction(transaction: Sql, own: OwnAttempt): Promise<void> {
  await transaction.unsafe(`set local strata.attempt = '${markOf(own)}'`);
}

/** Returns whether this transaction was marked for the attempt. */
export async function isMarked(transaction: Sql, own: OwnAttempt): Promise<boolean> {
  const rows = await transaction`select where current_setting('strata.attempt', true) = ${markOf(own)}`;
  return rows.length === 1;
}

/**
 * Completes the job in the transaction in which the task did its work, so that both commit together. Returns false if the
 * transaction is not marked or the job no longer belongs to this attempt: the transaction must then roll back. A concurrent
 * take-over waits for neither: it skips the locked row, or it came first and this function returns false.
 */
export async function completeInTransaction(
  transaction: Sql,
  { result, ...own }: Completion,
): Promise<boolean> {
  const stored = result === null ? null : storableJson(result);
  const { count } = await transaction`
    update jobs set ${completed(transaction)}, result = ${stored}::text::jsonb
    where ${stillOwn(transaction, own)} and current_setting('strata.attempt', true) = ${markOf(own)}`;
  return count === 1;
}

function markOf({ id, attempt, runner }: OwnAttempt): string {
  return `${Number(id)}/${Number(attempt)}/${Number(runner)}`;
}

/**
 * Records why an attempt failed. The job is scheduled again after `retryAfterMs`; it has failed if that is null or no
 * attempts are left. Returns the new state, or undefined if the job no longer belonged to this attempt.
 */
export async function failAttempt(
  sql: Sql,
  {
    error,
    retryAfterMs,
    ...own
  }: OwnAttempt & { readonly error: AttemptError; readonly retryAfterMs: number | null },
): Promise<JobState | undefined> {
  const isFinal = retryAfterMs === null;
  return endAttempt(sql, own, {
    next: sql`case when ${isFinal} or attempt >= max_attempts then 'failed' else 'scheduled' end`,
    delayMs: retryAfterMs ?? 0,
    also: sql`errors = ${withError(sql, errorJson(error))}`,
  });
}

/** Schedules the job again after `delayMs`, without counting the attempt. Returns the same as `failAttempt`. */
export function snoozeJob(
  sql: Sql,
  { delayMs, ...own }: OwnAttempt & { readonly delayMs: number },
): Promise<JobState | undefined> {
  return endAttempt(sql, own, {
    next: sql`'scheduled'`,
    delayMs,
    also: sql`max_attempts = max_attempts + 1`,
  });
}

/** Cancels a running job whose attempt has stopped. Returns false if the job no longer belonged to this attempt. */
export async function cancelRunning(sql: Sql, own: OwnAttempt, hasRun = true): Promise<boolean> {
  const { count } = await sql`
    update jobs set
      state = 'cancelled', runner = null, cancel_requested = false, finished_at = clock_timestamp(),
      run_at = case when ${hasRun} then run_at else clock_timestamp() end, revision = revision + 1
    where id = (select id from jobs where ${stillOwn(sql, own)} for update skip locked)`;
  return count === 1;
}

/** Releases jobs, so that any runner can claim them at once; the attempts do not count. Returns the released ids. */
export async function releaseJobs(
  sql: Sql,
  { runner, jobs }: { readonly runner: number; readonly jobs: readonly AttemptKey[] },
): Promise<number[]> {
  const next = sql`case when cancel_requested then 'cancelled' else 'available' end`;
  const rows = await sql<{ id: number }[]>`
    with own as materialized (
      select job.id
      from unnest(${idsOf(jobs)}::bigint[], ${attemptsOf(jobs)}::integer[]) as given (id, attempt)
      cross join lateral (${lockOwn(sql, 'given', runner)}) as job
    ), released as (
      update jobs set
        state = ${next}, finished_at = case when cancel_requested then clock_timestamp() end, ${progressIn(sql, next)},
        runner = null, cancel_requested = false, max_attempts = max_attempts + 1, run_at = clock_timestamp(), revision = revision + 1
      from own where jobs.id = own.id
      returning jobs.id, state, queue
    )
    select id, case when state = 'available' then pg_notify(${availableChannel}, queue)::text end as notified
    from released`;
  return rows.map(({ id }) => id);
}

/**
 * Returns the state in which this attempt left the job. `running` means that a write found nothing because another
 * transaction holds the row. Undefined means that the job belongs to another attempt or runner.
 */
export async function findStateAfter(
  sql: Sql,
  { id, attempt, runner }: OwnAttempt,
): Promise<JobState | undefined> {
  const [row] = await sql<{ state: JobState }[]>`
    select state from jobs
    where id = ${id} and attempt = ${attempt} and (runner = ${runner} or state <> 'running')`;
  return row?.state;
}

/** Returns the running attempts of this runner according to the table. */
export async function findOwnAttempts(sql: Sql, runner: number): Promise<AttemptKey[]> {
  return sql<AttemptKey[]>`
    select id, attempt from jobs where runner = ${runner} and state = 'running' order by id`;
}

/** Records the progress of attempts of this runner. Fractions are clamped to 0..1. */
export async function recordProgress(
  sql: Sql,
  { runner, entries }: { readonly runner: number; readonly entries: readonly (AttemptKey & Progress)[] },
): Promise<void> {
  const fractions = entries.map(({ fraction }) => String(fraction));
  const messages = entries.map(({ message }) => (message === null ? null : storableText(message)));
  await sql`
    with own as materialized (
      select job.id, reported.fraction, reported.message
      from unnest(
        ${idsOf(entries)}::bigint[], ${attemptsOf(entries)}::integer[], ${fractions}::text[], ${messages}::text[]
      ) as reported (id, attempt, fraction, message)
      cross join lateral (${lockOwn(sql, 'reported', runner)}) as job
    )
    update jobs set
      progress = least(1, greatest(0, own.fraction::float8)), progress_message = own.message, revision = revision + 1
    from own where jobs.id = own.id`;
}

/** Appends an error, with its attempt and time, to the errors of a job. Only the last 20 are kept. */
export function withError(sql: Sql, error: string | Fragment) {
  return sql`
    (case when jsonb_array_length(errors) >= 20 then errors - 0 else errors end) || jsonb_build_array(
      jsonb_build_object('attempt', attempt, 'at', ${isoNow(sql)})
      || ${error}::text::jsonb)`;
}

/** Resets the progress of a job that will run again; a finished job keeps its last progress. */
export function progressIn(sql: Sql, next: Fragment) {
  return sql`
    progress = case when ${next} in ('available', 'scheduled') then 0 else progress end,
    progress_message = case when ${next} in ('available', 'scheduled') then null else progress_message end`;
}

/** Ends an attempt without a result: in state `next`, or `cancelled` if that was requested. */
async function endAttempt(
  sql: Sql,
  own: OwnAttempt,
  { next, delayMs, also }: { readonly next: Fragment; readonly delayMs: number; readonly also: Fragment },
): Promise<JobState | undefined> {
  const [row] = await sql<{ state: JobState }[]>`
    with ended as (
      select id, case when cancel_requested then 'cancelled' else ${next} end as next
      from jobs where ${stillOwn(sql, own)}
      for update skip locked
    )
    update jobs set
      state = next, runner = null, cancel_requested = false,
      run_at = case when next = 'scheduled' then clock_timestamp() + ${bounded(delayMs)} * interval '1 ms' else run_at end,
      finished_at = case when next <> 'scheduled' then clock_timestamp() end, ${progressIn(sql, sql`next`)},
      revision = revision + 1, ${also}
    from ended where jobs.id = ended.id
    returning state`;
  return row?.state;
}

type Fragment = ReturnType<typeof stillOwn>;

function stillOwn(sql: Sql, { id, attempt, runner }: OwnAttempt) {
  return sql`id = ${id} and attempt = ${attempt} and runner = ${runner} and state = 'running'`;
}

/**
 * Locks the row of one attempt of a list, for a lateral join. With an ordinary join, PostgreSQL may scan all running
 * jobs for each item: its statistics usually contain no running job at all.
 */
function lockOwn(sql: Sql, list: string, runner: number) {
  return sql`
    select jobs.id from jobs
    where jobs.id = ${sql(list)}.id and jobs.attempt = ${sql(list)}.attempt and runner = ${runner} and state = 'running'
    for update skip locked`;
}

function completed(sql: Sql) {
  return sql`
    state = 'completed', runner = null, cancel_requested = false, progress = 1, progress_message = null,
    finished_at = clock_timestamp(), revision = revision + 1`;
}

function idsOf(keys: readonly AttemptKey[]): number[] {
  return keys.map(({ id }) => id);
}

function attemptsOf(keys: readonly AttemptKey[]): number[] {
  return keys.map(({ attempt }) => attempt);
}

/** Clamps a delay to 0 .. ten years, so that adding it to a timestamp cannot fail. */
function bounded(delayMs: number): number {
  const tenYears = 315_576_000_000;
  return Number.isNaN(delayMs) ? 0 : Math.min(tenYears, Math.max(0, delayMs));
}

/** Returns an error as JSON text, without details that are not JSON or too large. Its strings are bounded already. */
function errorJson({ code, message, details, stack }: AttemptError): string {
  const written = JSON.stringify({ code, message, stack });
  let writtenDetails: string | undefined;
  try {
    writtenDetails = boundedJson(details, maxDetailsBytes);
  } catch {
    // The error matters more than its details: store it without them.
  }
  const whole =
    writtenDetails === undefined ? written : `${written.slice(0, -1)},"details":${writtenDetails}}`;
  return storableJson(whole);
}
