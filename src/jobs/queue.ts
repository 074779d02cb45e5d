/**
 * The way into the queue for the features: enqueue, look, cancel. It has no connection of its own: whoever enqueues
 * passes the `sql` of its transaction, and a rolled back transaction never enqueued anything. Nothing is logged here for
 * the same reason: the first line of a job is that of its claim, with the id of the request that enqueued it.
 */

import type * as z from 'zod';
import { violatedConstraint } from '../db/database-error.ts';
import type { Sql } from '../db/sql.ts';
import { AppError, type FieldError } from '../errors.ts';
import { currentRequest } from '../observability/request-context.ts';
import type { Job, JobStatus } from './job.ts';
import { checkPayload } from './payload.ts';
import {
  type CancelledJob,
  cancelJob,
  findJob,
  findJobs,
  type InsertedJob,
  insertJob,
  retryJob,
} from './store.ts';
import type { TaskDefinition } from './task.ts';

export interface EnqueueOptions {
  /** The first moment at which it may run, by the database's clock; by default, and if it has passed, at once. */
  readonly runAt?: Date;
  /** 0 comes first, 1000 last; by default the task's. */
  readonly priority?: number;
  readonly maxAttempts?: number;
  readonly timeoutMs?: number;
  /** While a job of the task with this key has not finished, there is no second one: the first is returned. */
  readonly uniqueKey?: string;
  /** On whose behalf, and so who may see it. */
  readonly userId?: number;
}

/** Each rejects with the errors of the database. */
export interface Queue {
  /**
   * Adds a job, with the id of the current request. `isNew` is false if one with this unique key was there already.
   * Throws an AppError: `validation_failed` with a pointer for each error of the payload, for a payload of more than
   * 1 MB of JSON, for a priority or another option out of range; `unknown_task` for a task that is not in the queue's
   * list, which nobody would run. Pointers are relative to the payload; those of options are their names.
   */
  enqueue<Payload extends z.ZodType>(
    sql: Sql,
    task: TaskDefinition<Payload>,
    payload: z.input<Payload>,
    options?: EnqueueOptions,
  ): Promise<InsertedJob>;
  /** The same by the name of the task: AppError `unknown_task` (422) if there is none. For commands and the dashboard. */
  enqueueByName(sql: Sql, name: string, payload: unknown, options?: EnqueueOptions): Promise<InsertedJob>;
  find(sql: Sql, id: number): Promise<Job | undefined>;
  /** Several at once, without their payloads: what watching polls. */
  findMany(sql: Sql, ids: readonly number[]): Promise<readonly JobStatus[]>;
  /**
   * Cancels: at once what waits; what runs is told to end, and is cancelled when it has. Undefined if there is no such
   * job; one that has finished or was told before comes back as it is, and says so.
   */
  cancel(sql: Sql, id: number): Promise<CancelledJob | undefined>;
  /**
   * Makes a failed or cancelled job available again, with one attempt at least. Undefined if there is none in such a
   * state. Throws AppError `conflict` if another job with its unique key waits or runs.
   */
  retry(sql: Sql, id: number): Promise<Job | undefined>;
}

export interface QueueOptions {
  /** Every task that the program has. */
  readonly definitions: readonly TaskDefinition[];
}

export function createQueue({ definitions }: QueueOptions): Queue {
  const byName = new Map(definitions.map((definition) => [definition.name, definition]));

  async function enqueueByName(
    sql: Sql,
    name: string,
    payload: unknown,
    options: EnqueueOptions = {},
  ): Promise<InsertedJob> {
    const task = byName.get(name);
    if (task === undefined) {
      throw new AppError(
        'unknown_task',
        `There is no task of this name: use one of ${[...byName.keys()].join(', ')}.`,
      );
    }
    const json = checkPayload(task, payload);
    assertInRange(options);
    return insertJob(sql, {
      name,
      queue: task.queue,
      payload: json,
      priority: options.priority ?? task.priority,
      maxAttempts: options.maxAttempts ?? task.maxAttempts,
      timeoutMs: options.timeoutMs ?? task.timeoutMs,
      uniqueKey: options.uniqueKey ?? null,
      userId: options.userId ?? null,
      requestId: currentRequest()?.id ?? null,
      runAt: options.runAt ?? null,
    });
  }

  return {
    enqueue: (sql, task, payload, options) => enqueueByName(sql, task.name, payload, options),
    enqueueByName,
    find: findJob,
    findMany: findJobs,
    cancel: cancelJob,
    async retry(sql, id) {
      try {
        return await retryJob(sql, id);
      } catch (cause) {
        if (violatedConstraint(cause) !== 'jobs_unique_key') throw cause;
        throw new AppError(
          'conflict',
          'Another job with the same unique key is waiting or running: try again when it has finished.',
          { cause },
        );
      }
    },
  };
}

/** Throws an AppError `validation_failed` with all options that the table would not take. */
function assertInRange({ priority, maxAttempts, timeoutMs, uniqueKey, runAt }: EnqueueOptions): void {
  const errors: FieldError[] = [];
  const check = (name: string, fits: boolean, detail: string) => {
    if (!fits) errors.push({ in: 'body', pointer: `/${name}`, detail });
  };
  const wholeNumber = (name: string, value: number | undefined, min: number, max: number) => {
    const fits = value === undefined || (Number.isInteger(value) && value >= min && value <= max);
    check(name, fits, `It must be a whole number from ${min} to ${max}.`);
  };
  wholeNumber('priority', priority, 0, 1000);
  wholeNumber('maxAttempts', maxAttempts, 1, 1000);
  wholeNumber('timeoutMs', timeoutMs, 1, 2 ** 31 - 1);
  const isKey = uniqueKey === undefined || /^[^\p{Cc}\p{Cs}]{1,200}$/u.test(uniqueKey);
  check('uniqueKey', isKey, 'It must be a text of 1 to 200 characters without control characters.');
  const isMoment = runAt === undefined || (runAt.getTime() >= 0 && runAt.getTime() < endOfTime);
  check('runAt', isMoment, 'It must be a moment between the years 1970 and 9999.');
  if (errors.length > 0) {
    throw new AppError('validation_failed', 'The job has options out of range; "errors" says which.', {
      errors,
    });
  }
}

const endOfTime = Date.UTC(9999, 11, 31);
