/**
 * Operations of operators: pausing and resuming a queue, retrying failed jobs, and running scheduled jobs now. A paused
 * queue still accepts jobs, and its running jobs continue, but no runner claims from it until it is resumed.
 */

import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import type { Queue } from '../queue.ts';
import { availableChannel, runJobsNow } from '../store.ts';
import { type BatchFilter, findRetryable, findRetrying } from './search.ts';

/**
 * Pauses a queue, with or without jobs. Idempotent. Rejects with an AppError `not_found` for a queue that no runner has
 * ever served and that has no job, because the name is probably mistyped.
 */
export async function pauseQueue(sql: Sql, name: string): Promise<void> {
  await assertQueueExists(sql, name);
  await sql`
    insert into job_queues (name, paused_at) values (${name}, now())
    on conflict (name) do update set paused_at = coalesce(job_queues.paused_at, now())`;
}

/** Resumes a queue and wakes the runners. Idempotent. Rejects as `pauseQueue` does. */
export async function resumeQueue(sql: Sql, name: string): Promise<void> {
  await assertQueueExists(sql, name);
  await sql`
    with resumed as (update job_queues set paused_at = null where name = ${name} returning name)
    select pg_notify(${availableChannel}, name) from resumed`;
}

async function assertQueueExists(sql: Sql, name: string): Promise<void> {
  const known = await sql`
    select where exists (select from job_queues where name = ${name}) or exists (select from jobs where queue = ${name})`;
  if (known.length === 0) throw new AppError('not_found', `There is no queue ${name}.`);
}

export interface RetriedJobs {
  readonly retried: number;
  /** The id to pass as `after` to the next call; null after the last batch. */
  readonly after: number | null;
}

/** Small enough for a short call, so that the caller can show progress. */
const batchSize = 200;

/**
 * Retries one batch of failed jobs with ids above `after`, in order. Ids only increase from batch to batch, so a job
 * that fails again at once is not retried endlessly. Skips jobs whose input was refused, and jobs whose unique key
 * another job has taken. Rejects with the errors of the database; the jobs retried until then stay retried.
 */
export async function retryFailed(
  sql: Sql,
  queue: Pick<Queue, 'retry'>,
  filter: BatchFilter,
  after: number,
): Promise<RetriedJobs> {
  const ids = await findRetryable(sql, filter, after, batchSize);
  let retried = 0;
  for (const id of ids) {
    const job = await queue.retry(sql, id).catch(ignoreTakenKey);
    if (job !== undefined) retried += 1;
  }
  return { retried, after: ids.length < batchSize ? null : (ids.at(-1) ?? null) };
}

function ignoreTakenKey(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'conflict') return undefined;
  throw error;
}

/** Makes a scheduled or retrying job available now. Returns false if the job is not in this state. */
export async function runNow(sql: Sql, id: number): Promise<boolean> {
  return (await runJobsNow(sql, [id])).length === 1;
}

export interface StartedJobs {
  readonly started: number;
  /** The id to pass as `after` to the next call; null after the last batch. */
  readonly after: number | null;
}

/**
 * Makes one batch of retrying jobs with ids above `after` available now, in order. As with `retryFailed`, ids only
 * increase, so a job that fails again at once is not started endlessly.
 */
export async function runRetrying(sql: Sql, filter: BatchFilter, after: number): Promise<StartedJobs> {
  const ids = await findRetrying(sql, filter, after, batchSize);
  const started = await runJobsNow(sql, ids);
  return { started: started.length, after: ids.length < batchSize ? null : (ids.at(-1) ?? null) };
}
