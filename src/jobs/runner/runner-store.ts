/**
 * The rows of runners, and the take-over of jobs from dead ones. A runner is a row of `job_runners` and a session that
 * holds the advisory lock (`lockClass`, its number). PostgreSQL releases the lock when the session closes, for whatever
 * reason.
 *
 *     registerRunner ──> row and lock ──> claims ... ──> unregisterRunner   deletes the row if no job is left
 *                           │
 *                           │ the session closes: the lock is free, the row remains
 *                           v
 *                         dead ──takeOver, by any runner──> its jobs are available, its row is deleted
 *
 * - The lock is taken before the row becomes visible: a row without a lock is a dead runner, never one that is
 *   starting.
 * - A claim and a take-over both lock the row: a take-over sees a claim, or the claim finds no row.
 * - A job whose row another transaction holds, such as one that completes it, is skipped. The runner's row stays until
 *   no job is left, so the next poll tries again; a take-over never waits for another transaction.
 *
 * The functions use the runner's own connection (with the program's column types), except `isRegistered`, `takeOver`
 * and `findQueueDepths`, which use the connections that claim jobs.
 */

import { onlyRow, type Sql } from '../../db/sql.ts';
import { progressIn, withError } from '../attempt-store.ts';
import type { JobState } from '../job.ts';
import { availableChannel, notifyAvailable, withoutNotified } from '../store.ts';

/** The first key of the advisory locks of runners: "jobs" in ASCII. Nothing else in the database uses it. */
export const lockClass = 0x6a_6f_62_73;

export interface RunnerProcess {
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly threads: number;
}

/** Registers the session as a runner: draws a number, takes its lock and inserts its row. Returns the number. */
export async function registerRunner(
  session: Sql,
  { host, pid, version, threads }: RunnerProcess,
): Promise<number> {
  const rows = await session<{ id: number }[]>`
    with drawn as materialized (
      select nextval('job_runner_ids')::integer as id
    ), locked as materialized (
      select id, pg_try_advisory_lock(${lockClass}::integer, id) as is_locked from drawn
    )
    insert into job_runners (id, host, pid, version, threads)
    select id, ${host}, ${pid}, ${version}, ${threads} from locked where is_locked
    returning id`;
  return onlyRow(rows).id;
}

/** Inserts the queues that are not in the table yet, so that they can be paused before they have jobs. */
export async function registerQueues(session: Sql, queues: readonly string[]): Promise<void> {
  await session`
    insert into job_queues (name) select unnest(${[...queues].sort()}::text[]) on conflict do nothing`;
}

/** Returns whether `sql` sees the row of this runner. If not, the session is in another database. */
export async function isRegistered(
  sql: Sql,
  runner: number,
  { host, pid }: Pick<RunnerProcess, 'host' | 'pid'>,
): Promise<boolean> {
  const rows = await sql`select from job_runners where id = ${runner} and host = ${host} and pid = ${pid}`;
  return rows.length === 1;
}

/** Deletes the runner's row if it has no jobs; otherwise another runner takes them over and deletes it. */
export async function unregisterRunner(session: Sql, { runner }: { readonly runner: number }): Promise<void> {
  await session`
    delete from job_runners where id = ${runner} and ${hasNoJobs(session, runner)}`;
}

/**
 * Terminates the previous session of a runner if it still holds the lock. PostgreSQL may take a while to notice a
 * broken connection, and until then no runner could take the jobs over. That session is idle, while a runner that is
 * taking the jobs over, and holds the same lock, is in a transaction.
 */
export async function terminatePreviousSession(session: Sql, runner: number): Promise<void> {
  await session`
    select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and classid = ${lockClass} and objid = ${runner} and objsubid = 2 and granted
      and database = (select oid from pg_database where datname = current_database())
      and usename = session_user and xact_start is null`;
}

export interface Poll {
  /** How many scheduled jobs were due and made available; at most 1000 per poll. */
  readonly promoted: number;
  /** Registered runners whose lock is free. */
  readonly deadRunners: readonly number[];
  /** The running jobs of this runner according to the table. */
  readonly running: readonly number[];
  /** Those of `running` whose cancellation was requested. */
  readonly cancelRequested: readonly number[];
  /** Whether a job waits in a queue that is not paused. */
  readonly hasAvailable: boolean;
  /** Whether one of these waiting jobs is a suspect. */
  readonly hasSuspects: boolean;
  /** Whether an operator has requested a job of a schedule. */
  readonly hasRunRequests: boolean;
  /** Time until the next scheduled job is due; 0 if more are due now, null if none is scheduled. */
  readonly nextDueMs: number | null;
}

/** Reads everything that a runner needs to know regularly, in one statement. */
export async function pollSession(
  session: Sql,
  { runner, queues }: { readonly runner: number; readonly queues: readonly string[] },
): Promise<Poll> {
  const rows = await session<Poll[]>`
    with promoted as (
      update jobs set state = 'available', revision = revision + 1
      where state = 'scheduled' and id = any(array(
        select id from jobs where state = 'scheduled' and run_at <= now()
        order by run_at limit 1000
        for update skip locked
      ))
      returning queue
    ), notified as (
      select queue, count(*) as jobs, pg_notify(${availableChannel}, queue) from promoted group by queue
    ), served as (
      select queue from unnest(${[...queues]}::text[]) as known (queue)
      where not exists (select from job_queues where name = queue and paused_at is not null)
    )
    select
      (select coalesce(sum(jobs), 0) from notified)::integer as promoted,
      array(
        select id from job_runners where id <> ${runner} and id::text not in (
          select objid::text from pg_locks
          where locktype = 'advisory' and classid = ${lockClass} and objsubid = 2 and granted
            and database = (select oid from pg_database where datname = current_database())
        )
      ) as "deadRunners",
      array(select id from jobs where runner = ${runner} and state = 'running') as running,
      array(select id from jobs where runner = ${runner} and state = 'running' and cancel_requested) as "cancelRequested",
      exists (
        select from served
        where queue in (select queue from notified)
          or exists (select from jobs where jobs.queue = served.queue and state = 'available')
      ) as "hasAvailable",
      exists (
        select from jobs where state = 'available' and losses > 0 and queue in (select queue from served)
      ) as "hasSuspects",
      exists (select from job_schedules where run_requested_at is not null) as "hasRunRequests",
      case when (select count(*) from promoted) = 1000 then 0 else (
        select extract(epoch from min(run_at) - clock_timestamp()) * 1000 from jobs
        where state = 'scheduled' and run_at > now()
      )::float8 end as "nextDueMs"`;
  return onlyRow(rows);
}

export interface TakenJob {
  readonly id: number;
  readonly name: string;
  readonly attempt: number;
  readonly state: JobState;
  readonly requestId: string | null;
  /** The span that enqueued it. */
  readonly traceparent: string | null;
}

/**
 * How many times a job may lose its runner before it fails. After the first loss it runs isolated, in a process whose
 * crash counts as a failed attempt, so only a job that crashes its runner from there gets this far. The limit is high
 * because a runner that other jobs crash repeatedly takes its suspects with it each time.
 */
const maxLosses = 50;

export interface TakeOverOptions {
  /** Whether one of the jobs may have crashed the runner's process. The jobs are suspects then. */
  readonly mayHaveCrashed: boolean;
}

/**
 * Takes the jobs of a dead runner over: they become `cancelled` if that was requested, `failed` after too many losses,
 * else `available`. The lost attempt does not count: the maximum is raised by one. Returns the jobs; an empty list if
 * the runner is alive or another runner is taking its jobs over. `transaction` must be a `read committed` transaction,
 * because each statement must see the changes that the ones before it have waited for.
 */
export async function takeOver(
  transaction: Sql,
  deadRunner: number,
  { mayHaveCrashed }: TakeOverOptions = { mayHaveCrashed: true },
): Promise<readonly TakenJob[]> {
  const [held] = await transaction<{ id: number }[]>`
    select id from job_runners
    where id = ${deadRunner} and pg_try_advisory_xact_lock(${lockClass}::integer, id)
    for update`;
  if (held === undefined) return [];
  const error = transaction`case when next = 'failed' then ${lostTooOften}::text else ${lostError} end`;
  const taken = await transaction<TakenJob[]>`
    with lost as (
      select id, losses + ${mayHaveCrashed ? 1 : 0}::smallint as lost, case
        when cancel_requested then 'cancelled'
        when ${mayHaveCrashed} and losses + 1 >= ${maxLosses} then 'failed' else 'available'
      end as next
      from jobs where runner = ${deadRunner} and state = 'running'
      order by id
      for update skip locked
    ), taken as (
      update jobs set
        state = next, runner = null, cancel_requested = false, run_at = clock_timestamp(), losses = lost,
        max_attempts = max_attempts + 1,
        finished_at = case when next <> 'available' then clock_timestamp() end, revision = revision + 1,
        ${progressIn(transaction, transaction`next`)}, errors = ${withError(transaction, error)}
      from lost where jobs.id = lost.id
      returning jobs.id, name, attempt, state, queue, request_id as "requestId", traceparent
    )
    select id, name, attempt, state, "requestId", traceparent, ${notifyAvailable(transaction)} from taken`;
  await transaction`delete from job_runners where id = ${deadRunner} and ${hasNoJobs(transaction, deadRunner)}`;
  return taken.map(withoutNotified);
}

const lostError = JSON.stringify({
  code: 'runner_lost',
  message:
    'The process that ran the job has exited or lost its database session. The attempt does not count.',
});

const lostTooOften = JSON.stringify({
  code: 'runner_lost',
  message: `The process that ran the job has exited ${maxLosses} times while running it, most of these while the job ran isolated: it is not retried.`,
});

export interface QueueDepth {
  readonly queue: string;
  /** Number of waiting jobs, counted up to 10,000. */
  readonly waiting: number;
  /** How long the oldest waiting job has waited. */
  readonly oldestSeconds: number;
}

/**
 * Returns how many jobs wait in each queue, and how long. Reads at most the first 10,000 of each, so the cost does not
 * grow with the backlog.
 */
export async function findQueueDepths(sql: Sql, queues: readonly string[]): Promise<QueueDepth[]> {
  return sql<QueueDepth[]>`
    select queue, found.waiting, greatest(0, coalesce(extract(epoch from now() - found.oldest), 0))::float8 as "oldestSeconds"
    from unnest(${[...queues]}::text[]) as known (queue)
    cross join lateral (
      select count(*) as waiting, min(run_at) as oldest
      from (
        select run_at from jobs
        where jobs.queue = known.queue and state = 'available'
        order by priority, id
        limit 10000
      ) as first
    ) as found`;
}

function hasNoJobs(sql: Sql, runner: number) {
  return sql`not exists (select from jobs where runner = ${runner} and state = 'running')`;
}
