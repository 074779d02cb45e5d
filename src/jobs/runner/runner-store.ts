/**
 * What runners say of themselves, and to whom the jobs of the dead go. A runner is a row of `job_runners` and a session
 * that holds the advisory lock (`lockClass`, its number); the lock goes with the session, however that ends.
 *
 *     registerRunner ──> row and lock ──> claims ... ──> unregisterRunner   its row goes, if no job is left
 *                           │
 *                           │ the session ends: the lock is free, the row is there
 *                           v
 *                         dead ──takeOver, by anyone──> its jobs are available, its row is gone
 *
 * - The lock is taken before the row can be seen: a row without a lock is a dead runner, never one to come.
 * - A claim holds the row, and so does a take-over: a claim is either seen by the take-over or finds no row.
 * - A job that a transaction holds at that moment, such as one that completes it, is left where it is. The row stays
 *   until none is left, so that the next poll tries again; nobody waits for the transaction of somebody else.
 *
 * The functions take the runner's own connection (with the program's column types), but for `isRegistered` and
 * `takeOver`, which are asked of where jobs are claimed.
 */

import { onlyRow, type Sql } from '../../db/sql.ts';
import { progressIn, withError } from '../attempt-store.ts';
import { availableChannel } from '../channels.ts';
import type { JobState } from '../job.ts';
import { notifyAvailable, withoutNotified } from '../store.ts';

/** The first number of the advisory locks of runners: "jobs" in ASCII. Nothing else in the database uses it. */
export const lockClass = 0x6a_6f_62_73;

export interface RunnerProcess {
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly threads: number;
}

/** Makes the session a runner: takes a number, its lock and its row. Returns the number. */
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

/** Has the queues known, so that they can be paused before they have jobs. One that was known stays as it is. */
export async function registerQueues(session: Sql, queues: readonly string[]): Promise<void> {
  await session`
    insert into job_queues (name) select unnest(${[...queues].sort()}::text[]) on conflict do nothing`;
}

/** Whether the row of this runner is seen by `sql`: if not, its session is in another database. */
export async function isRegistered(
  sql: Sql,
  runner: number,
  { host, pid }: Pick<RunnerProcess, 'host' | 'pid'>,
): Promise<boolean> {
  const rows = await sql`select from job_runners where id = ${runner} and host = ${host} and pid = ${pid}`;
  return rows.length === 1;
}

/** Takes the runner's row away if no job is left with it; else that is for whoever takes over. */
export async function unregisterRunner(session: Sql, { runner }: { readonly runner: number }): Promise<void> {
  await session`
    delete from job_runners where id = ${runner} and ${hasNoJobs(session, runner)}`;
}

/**
 * Ends the session that holds the lock of a runner which has lost it: a connection that broke in between may look good to
 * PostgreSQL for a while, and as long nobody could take the jobs over. It is idle; who takes over is in a transaction.
 */
export async function endFormerSession(session: Sql, runner: number): Promise<void> {
  await session`
    select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and classid = ${lockClass} and objid = ${runner} and objsubid = 2 and granted
      and database = (select oid from pg_database where datname = current_database())
      and usename = session_user and xact_start is null`;
}

export interface Poll {
  /** How many jobs whose time has come were made available; at most 1000, the others at the next poll. */
  readonly promoted: number;
  /** Registered, and their lock is free. */
  readonly deadRunners: readonly number[];
  /** Own jobs, by the table. */
  readonly running: readonly number[];
  /** Those of them that are to be cancelled. */
  readonly cancelRequested: readonly number[];
  /** Whether a job waits in one of the queues that is not paused. */
  readonly hasAvailable: boolean;
  /** Whether one of them is a suspect, which is to run alone. */
  readonly hasSuspects: boolean;
  /** Until the next scheduled job is due, 0 if it is now; null if there is none. */
  readonly nextDueMs: number | null;
}

/** All that a runner asks for again and again, in one statement. */
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
}

/**
 * How often a job may lose its runner. From the first time on it runs alone in a process of its own, whose crash is
 * counted as a failure of its attempt; so this ends only jobs that bring down their runner from there. It is high,
 * because a runner that other jobs crash again and again takes the suspects with it each time.
 */
const maxLosses = 50;

export interface TakeOverOptions {
  /** Whether the process of the runner may have crashed because of one of its jobs: then they are suspects. */
  readonly mayHaveCrashed: boolean;
}

/**
 * Takes the jobs of a dead runner from it: cancelled if that was asked for, failed if it was the last loss that a job
 * may have, else available. The lost attempt does not count: the maximum grows by one. Returns the jobs; none if the
 * runner lives, or somebody else does the same now. Each statement must see what the ones before it have waited for, so
 * `transaction` must be one, and `read committed`.
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
      returning jobs.id, name, attempt, state, queue, request_id as "requestId"
    )
    select id, name, attempt, state, "requestId", ${notifyAvailable(transaction)} from taken`;
  await transaction`delete from job_runners where id = ${deadRunner} and ${hasNoJobs(transaction, deadRunner)}`;
  return taken.map(withoutNotified);
}

const lostError = JSON.stringify({
  code: 'runner_lost',
  message: 'The process that ran the job has ended or lost its database session. The attempt does not count.',
});

const lostTooOften = JSON.stringify({
  code: 'runner_lost',
  message: `The process that ran the job has ended ${maxLosses} times while it did, most of them while the job ran alone: it is not run again.`,
});

function hasNoJobs(sql: Sql, runner: number) {
  return sql`not exists (select from jobs where runner = ${runner} and state = 'running')`;
}
