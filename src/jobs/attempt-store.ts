/**
 * What a runner does to jobs: it claims them, says how far they are, and lets each go in one of the ways out of
 * `running`. Each function is one statement and rejects with the errors of the database.
 *
 * Fencing: whoever lets a job go names the runner and the attempt. A job that was taken over meanwhile has another
 * attempt, or none that runs; then nothing changes, and the function says so.
 *
 * - A claim holds the runner's row of `job_runners`, and finds nothing once that is gone: what has been declared dead
 *   claims no more, even by a statement that was on its way.
 * - Whoever was asked to cancel a job does not let it go to be tried again: `cancelled` comes before both.
 * - A release and a snooze give the attempt back by raising the maximum. The number itself must never be used twice.
 * - No write waits for a row that somebody else holds: it is skipped, as if it were no longer this attempt's, and
 *   `findStateAfter` tells the two apart. One such row would hold up all that are written with it.
 */

import type { Sql } from '../db/sql.ts';
import { availableChannel } from './channels.ts';
import type { JobState } from './job.ts';
import { storableJson, storableText } from './json-text.ts';
import { isoNow } from './store.ts';
import { boundedJson } from './thread/bounded-json.ts';
import { maxDetailsBytes } from './thread/outcome.ts';
import type { Attempt, AttemptError, Progress } from './thread/thread-messages.ts';

/** One attempt of a job: what every write out of `running` must match. */
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
  /** How many attempts of the job were lost with their runner; with any, the job is a suspect and runs alone. */
  readonly losses: number;
  /** Between the moment from which it could run and the claim, in milliseconds. */
  readonly waitMs: number;
}

export interface ClaimOptions {
  readonly runner: number;
  /** Those whose tasks the runner knows; of a paused one nothing is claimed. */
  readonly queues: readonly string[];
  /** How many at most of those that may run beside others. */
  readonly limit: number;
  /** How many suspects at most, which are to run alone. */
  readonly suspects: number;
}

/**
 * Takes at most `limit` jobs and `suspects` suspects, by priority, then the oldest. Each queue is asked by itself, so
 * one that is paused or that nobody serves costs nothing, however many jobs wait in it. Empty too if the runner is not
 * registered.
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
  const claimed = await sql<ClaimedJob[]>`
    with owner as materialized (
      select id from job_runners where id = ${runner} for key share
    ), beside_others as materialized (${next(sql`losses = 0`, limit)}
    ), alone as materialized (${next(sql`losses > 0`, suspects)}
    )
    update jobs set
      state = 'running', runner = ${runner}, attempt = attempt + 1, started_at = clock_timestamp(),
      progress = 0, progress_message = null, revision = revision + 1
    where id = any(array(select id from beside_others union all select id from alone)) and state = 'available'
    returning
      id, name, queue, priority, payload, attempt, max_attempts as "maxAttempts", timeout_ms as "timeoutMs",
      user_id as "userId", request_id as "requestId", runner, losses,
      greatest(0, extract(epoch from started_at - run_at) * 1000)::float8 as "waitMs"`;
  return claimed.toSorted((one, other) => one.priority - other.priority || one.id - other.id);
}

/** An attempt that has returned. */
export interface DoneAttempt extends AttemptKey {
  /** JSON text, as `JSON.stringify` makes it; null for none. */
  readonly result: string | null;
}

/** Records the attempts of this runner that have returned. Returns the ids of those that were still its own. */
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
  /** JSON text; null for none. */
  readonly result: string | null;
}

/**
 * Marks a transaction as the one that is to complete the job. The mark is a local setting, so it goes with the
 * transaction: after a COMMIT or ROLLBACK that a task sends itself it is not there, whatever was begun since. As a
 * `SET` and no query, it takes no snapshot, so a task may still choose the isolation level.
 */
export async function markTransaction(transaction: Sql, own: OwnAttempt): Promise<void> {
  await transaction.unsafe(`set local strata.attempt = '${markOf(own)}'`);
}

/** Whether the transaction is the one that was marked. */
export async function isMarked(transaction: Sql, own: OwnAttempt): Promise<boolean> {
  const rows = await transaction`select where current_setting('strata.attempt', true) = ${markOf(own)}`;
  return rows.length === 1;
}

/**
 * Completes the job in the transaction of its effect, which must be marked. False if it is not, or if the job is no
 * longer of this attempt: then the transaction must roll back. Whoever takes the job over waits for this transaction,
 * or makes this wait and be false.
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
 * Records why an attempt has failed. It is scheduled to be tried again after `retryAfterMs`; if that is null, or its
 * attempts are used up, it has failed. Returns the state it is in now, or undefined if it was no longer this attempt's.
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
  return letGo(sql, own, {
    next: sql`case when ${isFinal} or attempt >= max_attempts then 'failed' else 'scheduled' end`,
    delayMs: retryAfterMs ?? 0,
    also: sql`errors = ${withError(sql, errorJson(error))}`,
  });
}

/** Has the job wait for `delayMs`, as it wished; the attempt does not count. Returns as `failAttempt` does. */
export function snoozeJob(
  sql: Sql,
  { delayMs, ...own }: OwnAttempt & { readonly delayMs: number },
): Promise<JobState | undefined> {
  return letGo(sql, own, { next: sql`'scheduled'`, delayMs, also: sql`max_attempts = max_attempts + 1` });
}

/** Cancels a running job whose attempt has ended. False if it was no longer this attempt's. */
export async function cancelRunning(sql: Sql, own: OwnAttempt): Promise<boolean> {
  const { count } = await sql`
    update jobs set
      state = 'cancelled', runner = null, cancel_requested = false, finished_at = clock_timestamp(), revision = revision + 1
    where id = (select id from jobs where ${stillOwn(sql, own)} for update skip locked)`;
  return count === 1;
}

/** Gives jobs back for any runner to take, at once; the attempts do not count. Returns the ids of those given back. */
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
 * What has become of a job by this attempt: `running` if it is still under way, as it is where a write has found nothing
 * because somebody held the row. Undefined if another attempt or runner has the job.
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

/** The attempts that the table says are this runner's. */
export async function findOwnAttempts(sql: Sql, runner: number): Promise<AttemptKey[]> {
  return sql<
    AttemptKey[]
  >`select id, attempt from jobs where runner = ${runner} and state = 'running' order by id`;
}

/** Says how far attempts of this runner are. A fraction out of range is taken for the nearest one in it. */
export async function recordProgress(
  sql: Sql,
  { runner, entries }: { readonly runner: number; readonly entries: readonly (AttemptKey & Progress)[] },
): Promise<void> {
  const fractions = entries.map(({ fraction }) => String(fraction));
  const messages = entries.map(({ message }) => (message === null ? null : storableText(message)));
  await sql`
    with own as materialized (
      select job.id, said.fraction, said.message
      from unnest(
        ${idsOf(entries)}::bigint[], ${attemptsOf(entries)}::integer[], ${fractions}::text[], ${messages}::text[]
      ) as said (id, attempt, fraction, message)
      cross join lateral (${lockOwn(sql, 'said', runner)}) as job
    )
    update jobs set
      progress = least(1, greatest(0, own.fraction::float8)), progress_message = own.message, revision = revision + 1
    from own where jobs.id = own.id`;
}

/** The errors with one more, which gets the attempt and the moment; at most the last 20 are kept. */
export function withError(sql: Sql, error: string | Fragment) {
  return sql`
    (case when jsonb_array_length(errors) >= 20 then errors - 0 else errors end) || jsonb_build_array(
      jsonb_build_object('attempt', attempt, 'at', ${isoNow(sql)})
      || ${error}::text::jsonb)`;
}

/** What waits for another attempt is not on its way; what has ended keeps how far it came. */
export function progressIn(sql: Sql, next: Fragment) {
  return sql`
    progress = case when ${next} in ('available', 'scheduled') then 0 else progress end,
    progress_message = case when ${next} in ('available', 'scheduled') then null else progress_message end`;
}

/** Ends an attempt that has no result: in state `next`, or cancelled if that was asked for. */
async function letGo(
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
 * Locks the row of one attempt out of a list, for a lateral join. Joined otherwise, PostgreSQL may go through all running
 * jobs for each item of the list: its statistics mostly know of no running job at all.
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

/** A delay that a moment can be made of: not below zero, and at most ten years. */
function bounded(delayMs: number): number {
  const tenYears = 315_576_000_000;
  return Number.isNaN(delayMs) ? 0 : Math.min(tenYears, Math.max(0, delayMs));
}

/** An error as JSON text. Its texts are bounded where it is made; details that are no JSON, or too large, are left out. */
function errorJson({ code, message, details, stack }: AttemptError): string {
  const written = JSON.stringify({ code, message, stack });
  let writtenDetails: string | undefined;
  try {
    writtenDetails = boundedJson(details, maxDetailsBytes);
  } catch {
    // The error says more than its details do: it is kept without them.
  }
  const whole =
    writtenDetails === undefined ? written : `${written.slice(0, -1)},"details":${writtenDetails}}`;
  return storableJson(whole);
}
