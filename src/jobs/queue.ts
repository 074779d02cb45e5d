/**
 * The queue as features use it: enqueue, find, cancel and retry jobs. It has no connection of its own: the caller
 * passes the `sql` of its transaction, so a job is enqueued if and only if that transaction commits. For the same
 * reason nothing is logged here. The first log line of a job is that of its claim; it carries the id of the request
 * that enqueued it.
 */

import type * as z from 'zod';
import { violatedConstraint } from '../db/database-error.ts';
import type { Sql } from '../db/sql.ts';
import { AppError, type FieldError } from '../errors.ts';
import { currentRequest } from '../observability/request-context.ts';
import type { Job, JobStatus } from './job.ts';
import { toStoredTrace } from './job-trace.ts';
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
  /** The earliest time to run it, by the database's clock. By default, and if it has passed, the job runs at once. */
  readonly runAt?: Date;
  /** 0 runs first, 1000 last. By default the task's. */
  readonly priority?: number;
  readonly maxAttempts?: number;
  readonly timeoutMs?: number;
  /** While a job of the task with this key is unfinished, enqueueing returns that job instead of adding another. */
  readonly uniqueKey?: string;
  /** The user on whose behalf the job runs, and who may see it. */
  readonly userId?: number;
}

/** Every method can also reject with a database AppError. */
export interface Queue {
  /**
   * Adds a job, with the id and the trace of the current request. `isNew` is false if an unfinished job had this unique key. Rejects
   * with an AppError: `validation_failed` for an invalid payload, one of more than 1 MB of JSON, or an option out of
   * range, with a JSON Pointer for each error (relative to the payload, or the name of the option); `unknown_task` for
   * a task that is not in the queue's list, because no runner would run it.
   */
  enqueue<Payload extends z.ZodType>(
    sql: Sql,
    task: TaskDefinition<Payload>,
    payload: z.input<Payload>,
    options?: EnqueueOptions,
  ): Promise<InsertedJob>;
  /** As `enqueue`, by the name of the task. For commands and the dashboard. */
  enqueueByName(sql: Sql, name: string, payload: unknown, options?: EnqueueOptions): Promise<InsertedJob>;
  find(sql: Sql, id: number): Promise<Job | undefined>;
  /** Returns several jobs without their payloads. Event streams poll it. */
  findMany(sql: Sql, ids: readonly number[]): Promise<readonly JobStatus[]>;
  /**
   * Cancels a job. A waiting job is cancelled at once; a running one when its attempt has stopped. Returns undefined if
   * the job does not exist. A job that has finished, or that is being cancelled already, is returned unchanged.
   */
  cancel(sql: Sql, id: number): Promise<CancelledJob | undefined>;
  /**
   * Makes a failed or cancelled job available again, with at least one attempt left. Returns undefined if no job with
   * this id has failed or been cancelled. Rejects with AppError `conflict` if another unfinished job has its unique
   * key.
   */
  retry(sql: Sql, id: number): Promise<Job | undefined>;
}

export interface QueueOptions {
  /** All tasks of the program. */
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
        `This task does not exist: use one of ${[...byName.keys()].join(', ')}.`,
      );
    }
    const json = checkPayload(task, payload);
    assertInRange(options);
    const request = currentRequest();
    return insertJob(sql, {
      name,
      queue: task.queue,
      payload: json,
      priority: options.priority ?? task.priority,
      maxAttempts: options.maxAttempts ?? task.maxAttempts,
      timeoutMs: options.timeoutMs ?? task.timeoutMs,
      uniqueKey: options.uniqueKey ?? null,
      userId: options.userId ?? null,
      requestId: request?.id ?? null,
      ...toStoredTrace(request?.trace),
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
          'Another job with the same unique key is waiting or running: retry when it has finished.',
          { cause },
        );
      }
    },
  };
}

/** Throws an AppError `validation_failed` that lists all options that the table would reject. */
function assertInRange({ priority, maxAttempts, timeoutMs, uniqueKey, runAt }: EnqueueOptions): void {
  const errors: FieldError[] = [];
  const check = (name: string, fits: boolean, detail: string) => {
    if (!fits) errors.push({ in: 'body', pointer: `/${name}`, detail });
  };
  const integer = (name: string, value: number | undefined, min: number, max: number) => {
    const fits = value === undefined || (Number.isInteger(value) && value >= min && value <= max);
    check(name, fits, `It must be an integer from ${min} to ${max}.`);
  };
  integer('priority', priority, 0, 1000);
  integer('maxAttempts', maxAttempts, 1, 1000);
  integer('timeoutMs', timeoutMs, 1, 2 ** 31 - 1);
  const isKey = uniqueKey === undefined || /^[^\p{Cc}\p{Cs}]{1,200}$/u.test(uniqueKey);
  check('uniqueKey', isKey, 'It must be a string of 1 to 200 characters without control characters.');
  const isDate = runAt === undefined || (runAt.getTime() >= 0 && runAt.getTime() < endOfTime);
  check('runAt', isDate, 'It must be a date between the years 1970 and 9999.');
  if (errors.length > 0) {
    throw new AppError('validation_failed', 'Options of the job are out of range: see "errors".', {
      errors,
    });
  }
}

const endOfTime = Date.UTC(9999, 11, 31);
