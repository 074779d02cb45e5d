/**
 * What an operator does to more than one job: pausing a queue, and trying again what has failed. A paused queue takes
 * jobs, and those of it that run go on; nobody claims another until it is resumed.
 */

import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import { availableChannel } from '../channels.ts';
import type { Queue } from '../queue.ts';
import { type FailedFilter, findRetryable } from './search.ts';

/**
 * Pauses a queue, whether it has jobs or not. Pausing a paused one changes nothing. Throws an AppError `not_found` for
 * a queue that no runner has served and that has no job: the name is mistyped.
 */
export async function pauseQueue(sql: Sql, name: string): Promise<void> {
  await assertQueueExists(sql, name);
  await sql`
    insert into job_queues (name, paused_at) values (${name}, now())
    on conflict (name) do update set paused_at = coalesce(job_queues.paused_at, now())`;
}

/** Resumes a queue, and wakes the runners. Resuming one that is not paused changes nothing. Throws as pausing does. */
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
  /** The id after which to go on; null if there are no more. */
  readonly after: number | null;
}

/** As many as one call does: a moment's work, so that the caller can show how far it is. */
const batchSize = 200;

/**
 * Makes the failed jobs above the id `after` available again, in order, as many as fit into one batch. Ids only grow on
 * the way, so a job that fails again at once does not keep the caller busy. One that was refused for good is left as it
 * is, and so is one whose unique key another job has taken meanwhile. Rejects with the errors of the database; what was
 * done until then stays.
 */
export async function retryFailed(
  sql: Sql,
  queue: Pick<Queue, 'retry'>,
  filter: FailedFilter,
  after: number,
): Promise<RetriedJobs> {
  const ids = await findRetryable(sql, filter, after, batchSize);
  let retried = 0;
  for (const id of ids) {
    const job = await queue.retry(sql, id).catch(unlessKeyIsTaken);
    if (job !== undefined) retried += 1;
  }
  return { retried, after: ids.length < batchSize ? null : (ids.at(-1) ?? null) };
}

function unlessKeyIsTaken(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'conflict') return undefined;
  throw error;
}
