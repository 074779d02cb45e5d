/**
 * The data of the jobs dashboard. Reading and changing follow the rules of access.ts. Changes are logged, so that the reason
 * for a paused queue can be found. job-changes.ts has the changes of jobs, pause-routes.ts those of queues and schedules.
 */

import { type Route, route } from '../../http/route.ts';
import { searchJobs } from '../../jobs/admin/search.ts';
import { createJobsData, dataProblems, type JobsData, type JobsDataOptions, readRoute } from './data.ts';
import {
  describeCounts,
  describeJob,
  describeListedJob,
  describeMinute,
  describeSchedule,
} from './description.ts';
import { jobChangeRoutes, noSuchJob } from './job-changes.ts';
import { pauseRoutes } from './pause-routes.ts';
import { jobList, jobParams, listQuery, oneJob, overview } from './schema.ts';

/** Returns the routes below `/jobs/data`. */
export function jobsRoutes(options: JobsDataOptions): Route[] {
  const data = createJobsData(options);
  return [...readRoutes(data), ...jobChangeRoutes(data), ...pauseRoutes(data)];
}

function readRoutes({ read, overviewOf, queue }: JobsData): Route[] {
  return [
    route({
      ...readRoute,
      path: '/jobs/data/overview',
      operationId: 'getJobsOverview',
      summary: 'Jobs by state, queue and task, the last hour, the runners, the schedules',
      responses: { 200: { description: 'The overview.', schema: overview } },
      problems: dataProblems,
      handler: ({ ctx }) =>
        read(ctx, async (database, access) => {
          const jobs = await overviewOf(database).read();
          return {
            access,
            now: new Date(),
            active: describeCounts(jobs.active),
            finished: jobs.finished === undefined ? null : describeCounts(jobs.finished),
            paused: Array.from(jobs.paused, ([name, since]) => ({ queue: name, since })),
            runners: jobs.runners.map(({ startedAt, ...runner }) => ({ ...runner, started_at: startedAt })),
            schedules: jobs.schedules.map(describeSchedule),
            minutes: jobs.perMinute.map(describeMinute),
          };
        }),
    }),
    route({
      ...readRoute,
      path: '/jobs/data/jobs',
      operationId: 'listJobs',
      summary: 'Jobs, the newest first',
      query: listQuery,
      responses: { 200: { description: 'A page.', schema: jobList } },
      problems: dataProblems,
      handler: ({ ctx, query: { before, ...filter } }) =>
        read(ctx, async ({ sql }, access) => {
          const page = await searchJobs(sql, filter, before);
          return {
            access,
            jobs: page.jobs.map((job) => describeListedJob(job, access.contents)),
            before: page.before,
          };
        }),
    }),
    route({
      ...readRoute,
      path: '/jobs/data/jobs/:id',
      operationId: 'getJob',
      summary: 'One job with its history',
      params: jobParams,
      responses: { 200: { description: 'The job.', schema: oneJob } },
      problems: [...dataProblems, 'not_found'],
      handler: ({ ctx, params: { id } }) =>
        read(ctx, async ({ sql }, access) => {
          const job = await queue.find(sql, id);
          if (job === undefined) throw noSuchJob(id);
          return { access, now: new Date(), job: describeJob(job, access.contents) };
        }),
    }),
  ];
}
