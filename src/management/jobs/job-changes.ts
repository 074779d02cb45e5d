/** The routes with which an operator changes jobs: retry, run now and cancel, one job or a batch of them. */

import type { Database } from '../../db/database.ts';
import type { Sql } from '../../db/sql.ts';
import { AppError } from '../../errors.ts';
import type { Context } from '../../http/context.ts';
import { noContent } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { retryFailed, runNow, runRetrying } from '../../jobs/admin/operations.ts';
import { countRetryable, countRetrying } from '../../jobs/admin/search.ts';
import { changeRoute, dataProblems, done, type JobsData, readRoute } from './data.ts';
import { batchCount, batchCountQuery, batchQuery, jobParams, retriedBatch, startedBatch } from './schema.ts';

/** The confirmation of a change of many jobs counts them up to this number. */
const maxBatchCount = 1_000;

export function jobChangeRoutes(data: JobsData): Route[] {
  const { change, read, queue } = data;

  /** Changes one job. `work` returns whether the state of the job allowed the change. */
  async function changeJob(
    ctx: Context,
    action: string,
    id: number,
    work: (database: Database) => Promise<boolean>,
  ) {
    await change(ctx, action, { job_id: id }, async (database) => {
      if (await work(database)) return;
      if ((await queue.find(database.sql, id)) === undefined) throw noSuchJob(id);
      throw new AppError(
        'conflict',
        `The state of the job ${id} does not allow this. Reload the page to see its state.`,
      );
    });
    return noContent();
  }

  /** Counts the jobs of a batch change, for its confirmation. */
  const countBatch = (ctx: Context, count: (sql: Sql) => Promise<number>) =>
    read(ctx, async ({ sql }) => {
      const jobs = await count(sql);
      return { jobs, or_more: jobs === maxBatchCount };
    });

  const oneJob = { ...changeRoute, params: jobParams, responses: done } as const;
  const oneJobProblems = [...dataProblems, 'forbidden', 'not_found', 'conflict'] as const;
  const counted = { 200: { description: 'The number of jobs.', schema: batchCount } } as const;
  return [
    route({
      ...oneJob,
      path: '/jobs/data/jobs/:id/retry',
      operationId: 'retryJob',
      summary: 'Make a failed or cancelled job available again',
      problems: oneJobProblems,
      handler: ({ ctx, params: { id } }) =>
        changeJob(ctx, 'retry', id, async ({ sql }) => (await queue.retry(sql, id)) !== undefined),
    }),
    route({
      ...oneJob,
      path: '/jobs/data/jobs/:id/run',
      operationId: 'runJobNow',
      summary: 'Make a scheduled or retrying job available now',
      problems: oneJobProblems,
      handler: ({ ctx, params: { id } }) => changeJob(ctx, 'run_now', id, ({ sql }) => runNow(sql, id)),
    }),
    route({
      ...oneJob,
      path: '/jobs/data/jobs/:id/cancel',
      operationId: 'cancelJob',
      summary: 'Cancel a job that has not finished',
      problems: oneJobProblems,
      handler: ({ ctx, params: { id } }) =>
        changeJob(ctx, 'cancel', id, async ({ sql }) => {
          const state = (await queue.cancel(sql, id))?.job.state;
          return state !== undefined && state !== 'completed' && state !== 'failed';
        }),
    }),
    route({
      ...readRoute,
      path: '/jobs/data/retry-failed',
      operationId: 'countRetryableJobs',
      summary: 'Count the failed jobs that can be retried',
      query: batchCountQuery,
      responses: counted,
      problems: dataProblems,
      handler: ({ ctx, query }) => countBatch(ctx, (sql) => countRetryable(sql, query, maxBatchCount)),
    }),
    route({
      ...changeRoute,
      path: '/jobs/data/retry-failed',
      operationId: 'retryFailedJobs',
      summary: 'Make a batch of failed jobs available again',
      query: batchQuery,
      responses: {
        200: { description: 'The number of retried jobs, and where to continue.', schema: retriedBatch },
      },
      problems: [...dataProblems, 'forbidden'],
      handler: ({ ctx, query: { after = 0, ...filter } }) =>
        change(
          ctx,
          'retry_failed',
          { ...filter, after },
          ({ sql }) => retryFailed(sql, queue, filter, after),
          ({ retried }) => ({ retried }),
        ),
    }),
    route({
      ...readRoute,
      path: '/jobs/data/run-retrying',
      operationId: 'countRetryingJobs',
      summary: 'Count the jobs that wait for a retry',
      query: batchCountQuery,
      responses: counted,
      problems: dataProblems,
      handler: ({ ctx, query }) => countBatch(ctx, (sql) => countRetrying(sql, query, maxBatchCount)),
    }),
    route({
      ...changeRoute,
      path: '/jobs/data/run-retrying',
      operationId: 'runRetryingJobs',
      summary: 'Make a batch of retrying jobs available now',
      query: batchQuery,
      responses: {
        200: { description: 'The number of started jobs, and where to continue.', schema: startedBatch },
      },
      problems: [...dataProblems, 'forbidden'],
      handler: ({ ctx, query: { after = 0, ...filter } }) =>
        change(
          ctx,
          'run_retrying',
          { ...filter, after },
          ({ sql }) => runRetrying(sql, filter, after),
          ({ started }) => ({ started }),
        ),
    }),
  ];
}

export function noSuchJob(id: number): AppError {
  return new AppError('not_found', `There is no job ${id}: it may have been pruned.`);
}
