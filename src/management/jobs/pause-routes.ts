/** The routes with which an operator pauses, resumes and runs: queues and schedules. */

import { noContent } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { pauseQueue, resumeQueue } from '../../jobs/admin/operations.ts';
import { pauseSchedule, requestRun, resumeSchedule } from '../../jobs/admin/schedules.ts';
import { changeRoute, dataProblems, done, type JobsData } from './data.ts';
import { nameParams } from './schema.ts';

export function pauseRoutes({ change }: JobsData): Route[] {
  const named = { ...changeRoute, params: nameParams, responses: done } as const;
  const problems = [...dataProblems, 'forbidden', 'not_found'] as const;
  return [
    route({
      ...named,
      path: '/jobs/data/queues/:name/pause',
      operationId: 'pauseQueue',
      summary: 'Pause a queue',
      problems,
      async handler({ ctx, params: { name } }) {
        await change(ctx, 'pause', { queue: name }, ({ sql }) => pauseQueue(sql, name));
        return noContent();
      },
    }),
    route({
      ...named,
      path: '/jobs/data/queues/:name/resume',
      operationId: 'resumeQueue',
      summary: 'Resume a paused queue',
      problems,
      async handler({ ctx, params: { name } }) {
        await change(ctx, 'resume', { queue: name }, ({ sql }) => resumeQueue(sql, name));
        return noContent();
      },
    }),
    route({
      ...named,
      path: '/jobs/data/schedules/:name/pause',
      operationId: 'pauseSchedule',
      summary: 'Pause a schedule',
      problems,
      async handler({ ctx, params: { name } }) {
        await change(ctx, 'pause_schedule', { schedule: name }, ({ sql }) => pauseSchedule(sql, name));
        return noContent();
      },
    }),
    route({
      ...named,
      path: '/jobs/data/schedules/:name/resume',
      operationId: 'resumeSchedule',
      summary: 'Resume a paused schedule',
      problems,
      async handler({ ctx, params: { name } }) {
        await change(ctx, 'resume_schedule', { schedule: name }, ({ sql }) => resumeSchedule(sql, name));
        return noContent();
      },
    }),
    route({
      ...named,
      path: '/jobs/data/schedules/:name/run',
      operationId: 'runSchedule',
      summary: 'Request one job of a schedule now',
      problems: [...problems, 'conflict'],
      async handler({ ctx, params: { name } }) {
        await change(ctx, 'run_schedule', { schedule: name }, ({ sql }) => requestRun(sql, name));
        return noContent();
      },
    }),
  ];
}
