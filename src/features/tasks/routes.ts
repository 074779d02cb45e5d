import * as z from 'zod';
import { callerOf } from '../../http/caller.ts';
import { eventStreamType } from '../../http/event-stream.ts';
import { versionTag } from '../../http/headers/conditional.ts';
import { idParameter, versionCondition, writeConditions } from '../../http/parameters/parameters.ts';
import { noContent, ok, reply, stream } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { task } from './schema.ts';
import type { Tasks } from './tasks.ts';
import { viewTask } from './view.ts';

export interface TasksRoutesOptions {
  readonly tasks: Tasks;
}

const params = z.object({ id: idParameter.describe('The number of the task.') });
const resumption = z.object({
  'last-event-id': z.string().optional().meta({
    description: 'The id of the last event that the client received. Only newer events are sent.',
    example: '7',
  }),
});

/** Routes to read, watch and cancel tasks. Other features start them. */
export function tasksRoutes({ tasks }: TasksRoutesOptions): Route[] {
  return [
    route({
      method: 'GET',
      path: '/tasks/:id',
      operationId: 'getTask',
      summary: 'Read a task',
      description: 'Returns the progress and the result. For the user of the task and for admins.',
      tags: ['tasks'],
      auth: 'any',
      scopes: ['tasks:read'],
      params,
      responses: {
        200: {
          description: 'The task.',
          schema: task,
          headers: { ETag: 'The revision of the task, for `If-Match` and `If-None-Match`.' },
        },
      },
      problems: ['database_unavailable'],
      async handler({ params, ctx }) {
        const job = await tasks.get(callerOf(ctx), params.id);
        return ok(viewTask(job), { etag: versionTag(job.id, job.revision) });
      },
    }),
    route({
      method: 'DELETE',
      path: '/tasks/:id',
      operationId: 'cancelTask',
      summary: 'Cancel a task',
      description:
        'A waiting task is cancelled immediately (200). A running task gets a cancel request and is cancelled shortly after ' +
        '(202). A repeated request changes nothing. A completed or failed task cannot be cancelled (409).',
      tags: ['tasks'],
      auth: 'any',
      scopes: ['tasks:write'],
      params,
      headers: writeConditions,
      responses: {
        200: { description: 'The cancelled task.', schema: task },
        202: { description: 'The task with a cancel request.', schema: task },
      },
      problems: ['conflict', 'database_unavailable'],
      async handler({ params, headers, ctx }) {
        const job = await tasks.cancel(callerOf(ctx), params.id, versionCondition(headers, params.id));
        return reply(job.state === 'cancelled' ? 200 : 202, viewTask(job));
      },
    }),
    route({
      method: 'GET',
      path: '/tasks/:id/events',
      operationId: 'watchTask',
      summary: 'Watch a task',
      description:
        'Server-sent events (WHATWG HTML, section 9.2): `state` and `progress`, each with the task as its data and the ' +
        'revision of the task as its id. Intermediate states may be skipped, but never the final one, after which the stream ' +
        'is closed. It is also closed when the server restarts or the access of the client expires: reconnect with `Last-Event-ID`. ' +
        'The `EventSource` of a browser cannot send credentials: use `fetch` and read the body.',
      tags: ['tasks'],
      auth: 'any',
      scopes: ['tasks:read'],
      params,
      headers: resumption,
      responses: {
        200: { description: 'The events.', contentType: eventStreamType },
        204: { description: 'The client already has the final state: do not reconnect.' },
      },
      problems: ['overloaded', 'database_unavailable'],
      async handler({ params, headers, ctx }) {
        const caller = callerOf(ctx);
        const { identify = () => caller } = ctx;
        const events = await tasks.watch({ caller, identify }, params.id, headers['last-event-id']);
        // A proxy must not buffer the events.
        return events === undefined
          ? noContent()
          : stream(events, eventStreamType, { 'x-accel-buffering': 'no' });
      },
    }),
  ];
}
