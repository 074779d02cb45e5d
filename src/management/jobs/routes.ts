/**
 * The data of the jobs dashboard. Reading and changing follow the rules of access.ts. Changes are logged, so that the reason
 * for a paused queue can be found.
 *
 * Queries use at most two connections of their own, which open with the first request. The probes of this port do not depend
 * on them.
 */

import type { Database } from '../../db/database.ts';
import { sqlState } from '../../db/database-error.ts';
import { AppError } from '../../errors.ts';
import type { Context } from '../../http/context.ts';
import { noContent } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { pauseQueue, resumeQueue, retryFailed } from '../../jobs/admin/operations.ts';
import { createOverviewReader, type OverviewReader } from '../../jobs/admin/overview.ts';
import { countRetryable, searchJobs } from '../../jobs/admin/search.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { Logger } from '../../observability/logger.ts';
import { createJobsAccess, type JobsAccessOptions } from './access.ts';
import { describeCounts, describeJob, describeListedJob, describeMinute } from './description.ts';
import {
  jobList,
  jobParams,
  listQuery,
  oneJob,
  overview,
  queueParams,
  retried,
  retryable,
  retryableQuery,
  retryQuery,
} from './schema.ts';

/** The parts of the program that the dashboard needs. */
export interface JobsSource {
  /** Returns the database; undefined while the program starts, null if there is none. */
  database(): Database | null | undefined;
  readonly queue: Pick<Queue, 'find' | 'cancel' | 'retry'>;
}

export interface JobsRoutesOptions extends JobsAccessOptions {
  readonly source: JobsSource;
  readonly log: Logger;
}

/** The confirmation of a retry counts jobs up to this number. */
const maxRetryableCount = 1_000;

/** Returns the routes below `/jobs/data`. */
export function jobsRoutes({ source, log, ...rules }: JobsRoutesOptions): Route[] {
  const access = createJobsAccess(rules);
  const readers = new WeakMap<Database, OverviewReader>();
  const { queue } = source;

  function open(): Database {
    const database = source.database();
    if (database === undefined)
      throw new AppError('not_ready', 'The server is starting: the database is not open yet.');
    if (database !== null) return database;
    throw new AppError(
      'database_disabled',
      'There are no jobs without a database: set APP_DATABASE_URL and restart the server.',
    );
  }

  function readerOf(database: Database): OverviewReader {
    const known = readers.get(database);
    if (known !== undefined) return known;
    const created = createOverviewReader(database);
    readers.set(database, created);
    return created;
  }

  /** Runs a change by an operator, logs it, and invalidates the cached overview. */
  async function change<Result>(
    ctx: Context,
    action: string,
    about: Readonly<Record<string, unknown>>,
    work: (database: Database) => Promise<Result>,
    describe: (result: Result) => Readonly<Record<string, unknown>> = () => ({}),
  ): Promise<Result> {
    access.toWrite(ctx);
    const database = open();
    const result = await work(database).catch(explain);
    log.info('job.changed_by_hand', {
      action,
      ...about,
      ...describe(result),
      client_address: ctx.clientAddress,
    });
    readerOf(database).invalidate();
    return result;
  }

  async function changeJob(ctx: Context, action: 'retry' | 'cancel', id: number): Promise<void> {
    await change(ctx, action, { job_id: id }, async ({ sql }) => {
      const job = action === 'retry' ? await queue.retry(sql, id) : (await queue.cancel(sql, id))?.job;
      if (job === undefined && (await queue.find(sql, id)) === undefined) throw noSuchJob(id);
      const isTooLate = action === 'cancel' && (job?.state === 'completed' || job?.state === 'failed');
      if (job === undefined || isTooLate) {
        throw new AppError(
          'conflict',
          `The state of the job ${id} does not allow this. Reload the page to see its state.`,
        );
      }
    });
  }

  const read = { method: 'GET', tags: ['management'], auth: 'own', hidden: true } as const;
  const write = { ...read, method: 'POST' } as const;
  const problems = ['unauthenticated', 'rate_limited', 'not_ready', 'database_disabled'] as const;
  const done = { 204: { description: 'Done.' } } as const;
  return [
    route({
      ...read,
      path: '/jobs/data/overview',
      operationId: 'getJobsOverview',
      summary: 'Jobs by state, queue and task, the last hour, the runners',
      responses: { 200: { description: 'The overview.', schema: overview } },
      problems,
      async handler({ ctx }) {
        const allowed = access.toRead(ctx);
        const jobs = await readerOf(open()).read().catch(explain);
        return {
          access: allowed,
          now: new Date(),
          active: describeCounts(jobs.active),
          finished: jobs.finished === undefined ? null : describeCounts(jobs.finished),
          paused: Array.from(jobs.paused, ([queue, since]) => ({ queue, since })),
          runners: jobs.runners.map(({ startedAt, ...runner }) => ({ ...runner, started_at: startedAt })),
          minutes: jobs.minutes.map(describeMinute),
        };
      },
    }),
    route({
      ...read,
      path: '/jobs/data/jobs',
      operationId: 'listJobs',
      summary: 'Jobs, the newest first',
      query: listQuery,
      responses: { 200: { description: 'A page.', schema: jobList } },
      problems,
      async handler({ ctx, query: { before, ...filter } }) {
        const allowed = access.toRead(ctx);
        const page = await searchJobs(open().sql, filter, before).catch(explain);
        return {
          access: allowed,
          jobs: page.jobs.map((job) => describeListedJob(job, allowed.contents)),
          before: page.before,
        };
      },
    }),
    route({
      ...read,
      path: '/jobs/data/jobs/:id',
      operationId: 'getJob',
      summary: 'One job with its history',
      params: jobParams,
      responses: { 200: { description: 'The job.', schema: oneJob } },
      problems: [...problems, 'not_found'],
      async handler({ ctx, params: { id } }) {
        const allowed = access.toRead(ctx);
        const job = await queue.find(open().sql, id).catch(explain);
        if (job === undefined) throw noSuchJob(id);
        return { access: allowed, now: new Date(), job: describeJob(job, allowed.contents) };
      },
    }),
    route({
      ...write,
      path: '/jobs/data/jobs/:id/retry',
      operationId: 'retryJob',
      summary: 'Make a failed or cancelled job available again',
      params: jobParams,
      responses: done,
      problems: [...problems, 'forbidden', 'not_found', 'conflict'],
      async handler({ ctx, params }) {
        await changeJob(ctx, 'retry', params.id);
        return noContent();
      },
    }),
    route({
      ...write,
      path: '/jobs/data/jobs/:id/cancel',
      operationId: 'cancelJob',
      summary: 'Cancel a job that has not finished',
      params: jobParams,
      responses: done,
      problems: [...problems, 'forbidden', 'not_found', 'conflict'],
      async handler({ ctx, params }) {
        await changeJob(ctx, 'cancel', params.id);
        return noContent();
      },
    }),
    route({
      ...read,
      path: '/jobs/data/retry-failed',
      operationId: 'countRetryableJobs',
      summary: 'Count the failed jobs that can be retried',
      query: retryableQuery,
      responses: { 200: { description: 'The number of jobs.', schema: retryable } },
      problems,
      async handler({ ctx, query }) {
        access.toRead(ctx);
        const jobs = await countRetryable(open().sql, query, maxRetryableCount).catch(explain);
        return { jobs, or_more: jobs === maxRetryableCount };
      },
    }),
    route({
      ...write,
      path: '/jobs/data/retry-failed',
      operationId: 'retryFailedJobs',
      summary: 'Make a batch of failed jobs available again',
      query: retryQuery,
      responses: {
        200: { description: 'The number of retried jobs, and where to continue.', schema: retried },
      },
      problems: [...problems, 'forbidden'],
      handler: ({ ctx, query: { after = 0, ...filter } }) =>
        change(
          ctx,
          'retry_failed',
          { ...filter, after },
          ({ sql }) => retryFailed(sql, queue, filter, after),
          (batch) => ({ retried: batch.retried }),
        ),
    }),
    route({
      ...write,
      path: '/jobs/data/queues/:name/pause',
      operationId: 'pauseQueue',
      summary: 'Pause a queue',
      params: queueParams,
      responses: done,
      problems: [...problems, 'forbidden', 'not_found'],
      async handler({ ctx, params: { name } }) {
        await change(ctx, 'pause', { queue: name }, ({ sql }) => pauseQueue(sql, name));
        return noContent();
      },
    }),
    route({
      ...write,
      path: '/jobs/data/queues/:name/resume',
      operationId: 'resumeQueue',
      summary: 'Resume a paused queue',
      params: queueParams,
      responses: done,
      problems: [...problems, 'forbidden', 'not_found'],
      async handler({ ctx, params: { name } }) {
        await change(ctx, 'resume', { queue: name }, ({ sql }) => resumeQueue(sql, name));
        return noContent();
      },
    }),
  ];
}

function noSuchJob(id: number): AppError {
  return new AppError('not_found', `There is no job ${id}: it may have been pruned.`);
}

/** Explains a database without our tables: it is not migrated. */
function explain(error: unknown): never {
  if (sqlState(error) !== '42P01') throw error;
  throw new AppError('not_ready', 'The database is not migrated: run `npm run migrate -- up`.', {
    cause: error,
  });
}
