import type { Feature } from '../feature.ts';
import { tasksRoutes } from './routes.ts';
import { createTaskService } from './tasks.ts';

const scopes = [
  { name: 'tasks:read', description: 'Read and watch tasks of the user.' },
  { name: 'tasks:write', description: 'Start and cancel tasks of the user.' },
] as const;

const events = ['task.cancelled'] as const;

declare module '../../auth/principal.ts' {
  interface ScopeRegistry extends Record<(typeof scopes)[number]['name'], true> {}
}

declare module '../../observability/events.ts' {
  interface EventRegistry extends Record<(typeof events)[number], true> {}
}

/** The jobs of a user, as its client sees them. */
export const tasks = {
  name: 'tasks',
  tags: [{ name: 'tasks', description: 'Work in the background: its progress and its result.' }],
  scopes,
  events,
  routes: ({ database, queue, log }) =>
    tasksRoutes({ tasks: createTaskService({ database, queue, log: log.named('tasks') }) }),
} satisfies Feature;
