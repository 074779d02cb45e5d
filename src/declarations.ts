/**
 * Collects what the features declare (`features.ts`) for the parts of the program that need to know all of it. Every
 * process and every thread loads it, and the routes of all features with it: in a thread that runs tasks they take about
 * 15 ms of processor time and 3 MB, which one list for everything is worth.
 */

import type { Scope } from './auth/principal.ts';
import { deleteOldBans } from './bans/shared/postgres-ban-store.ts';
import type {
  DailyCount,
  Described,
  Feature,
  RetentionParts,
  RetentionRule,
  TaskParts,
} from './features/feature.ts';
import * as front from './features.ts';
import { deleteExpiredKeys } from './idempotency/postgres.ts';
import { createQueue } from './jobs/queue.ts';
import type { Schedule } from './jobs/schedule/schedule.ts';
import { pruneJobs } from './jobs/store.ts';
import type { Task, TaskDefinition } from './jobs/task.ts';
import { deleteExpiredPermits } from './limits/shared/postgres-backend.ts';
import { coreEvents, type EventName } from './observability/events.ts';

export const features: readonly Feature[] = Object.values(front);

/** Every event name that can occur in the log. */
export const events: readonly EventName[] = [
  ...coreEvents,
  ...features.flatMap((feature) => feature.events ?? []),
].sort();

/** The sections of the API document. */
export const tags: readonly Described<string>[] = features.flatMap((feature) => feature.tags ?? []);

export const describedScopes: readonly Described<Scope>[] = features.flatMap(
  (feature) => feature.scopes ?? [],
);

export const scopes: readonly Scope[] = describedScopes.map(({ name }) => name);

const tasks = features.flatMap((feature) => feature.tasks ?? []);

/** The definitions of all tasks, for the queue and the runner. */
export const taskDefinitions: readonly TaskDefinition[] = tasks.map(({ definition }) => definition);

/** All schedules; `jobs/schedule/schedule.ts` describes how they run, and how missed ticks are handled. */
export const schedules: readonly Schedule[] = features.flatMap((feature) => feature.schedules ?? []);

export const dailyCounts: readonly DailyCount[] = features.flatMap((feature) => feature.dailyCounts ?? []);

/** Makes the tasks with their functions: for a thread, at its start. */
export function createTasks(parts: Omit<TaskParts, 'queue' | 'dailyCounts'>): readonly Task[] {
  const queue = createQueue({ definitions: taskDefinitions });
  return tasks.map(({ create }) => create({ ...parts, queue, dailyCounts }));
}

/**
 * Makes the rules by which old data is deleted. Servers and job processes apply all of them, since either may run without
 * the other. How long a row stays is in the statement of its rule, or in the settings.
 */
export function createRetentionRules(parts: RetentionParts): readonly RetentionRule[] {
  const { sql } = parts.database;
  const { keepCompletedDays: completedDays, keepFailedDays: failedDays } = parts.settings.tasks;
  return [
    { name: 'idempotency keys', deleteBatch: (limit) => deleteExpiredKeys(sql, limit) },
    { name: 'bans', deleteBatch: (limit) => deleteOldBans(sql, limit) },
    { name: 'rate limit permits', deleteBatch: (limit) => deleteExpiredPermits(sql, limit) },
    { name: 'jobs', deleteBatch: (limit) => pruneJobs(sql, limit, { completedDays, failedDays }) },
    ...features.flatMap((feature) => feature.retentionRules?.(parts) ?? []),
  ];
}
