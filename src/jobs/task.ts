/**
 * Tasks: what a job does. A definition is all that a caller needs to enqueue a job: the name, the schema of the
 * payload, the retry options. An implementation adds the function that a thread runs.
 *
 *     export const sendEmail = defineTask({ name: 'send_email', payload: z.object({ userId: z.number() }) });
 *     const task = implementTask(sendEmail, async (payload, ctx) => { ... });
 *
 * A task may run more than once: its process can be killed after the effect and before the outcome is recorded.
 * Database writes happen exactly once if they use `ctx.tx`, which records the completion in the same transaction. An
 * effect elsewhere, such as an email, happens at least once.
 */

import * as z from 'zod';
import type { Sql } from '../db/sql.ts';
import type { Logger } from '../observability/logger.ts';
import type { Backoff } from '../resilience/retry.ts';

export interface TaskOptions {
  /** The queue that its jobs wait in. Each queue can be paused on its own. */
  readonly queue: string;
  /** 0 runs first, 1000 last. */
  readonly priority: number;
  readonly maxAttempts: number;
  /** Maximum duration of one attempt, in milliseconds. */
  readonly timeoutMs: number;
  /** The delay after a failed attempt. */
  readonly backoff: Backoff;
}

export interface TaskDefinition<Payload extends z.ZodType = z.ZodType> extends TaskOptions {
  /**
   * Lower case with underscores: `send_email`. It is stored with each job: after a rename, stored jobs have no task.
   */
  readonly name: string;
  readonly payload: Payload;
}

/** The second argument of a task. */
export interface TaskContext {
  readonly job: {
    readonly id: number;
    readonly attempt: number;
    readonly maxAttempts: number;
    readonly userId: number | null;
  };
  /** Its lines carry the job id, the task name, the attempt, and the id of the request that enqueued the job. */
  readonly log: Logger;
  /** Reports progress from 0 to 1, with a line for clients that watch. Cheap: calls are throttled. */
  progress(fraction: number, message?: string): void;
  /** Aborted when the job is cancelled, times out, or its runner stops. The thread is terminated shortly after. */
  readonly signal: AbortSignal;
  /** For queries outside `tx`, such as reads before it. Each statement commits on its own. */
  readonly sql: Sql;
  /**
   * Runs `work` in a transaction that also completes the job, with the return value of `work` as its result: both
   * happen or neither does. Rolls back and rejects if the job no longer belongs to this attempt. Call it once per job
   * and return right after it. A COMMIT or ROLLBACK sent by `work` fails the attempt.
   */
  tx<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result>;
}

/** A definition with its function. The return value is the result of the job: plain JSON, at most 1 MB. */
export interface Task {
  readonly definition: TaskDefinition;
  /** Throws or rejects with the errors of the task, and with an InvalidPayloadError. */
  run(payload: unknown, ctx: TaskContext): unknown;
}

const defaults: TaskOptions = {
  queue: 'default',
  priority: 100,
  maxAttempts: 10,
  timeoutMs: 60_000,
  backoff: { baseMs: 2_000, maxMs: 3_600_000 },
};

/** Declares a task. Throws an Error for a name or an option that the table would reject. */
export function defineTask<Payload extends z.ZodType>(
  spec: Pick<TaskDefinition<Payload>, 'name' | 'payload'> & Partial<TaskOptions>,
): TaskDefinition<Payload> {
  const definition = { ...defaults, ...spec };
  const { name, queue, priority, maxAttempts, timeoutMs } = definition;
  for (const word of [name, queue]) {
    if (!/^[a-z][a-z0-9_]{0,49}$/.test(word))
      throw new Error(
        `"${word}" is not a valid name of a task or a queue: use at most 50 lower-case letters, digits and underscores, such as send_email.`,
      );
  }
  const inRange = (value: number, min: number, max: number) =>
    Number.isInteger(value) && value >= min && value <= max;
  if (!inRange(priority, 0, 1000) || !inRange(maxAttempts, 1, 1000) || !inRange(timeoutMs, 1, 2 ** 31 - 1)) {
    throw new Error(
      `An option of the task ${name} is out of range: priority is 0 to 1000, maxAttempts 1 to 1000, timeoutMs 1 to ${2 ** 31 - 1}.`,
    );
  }
  return Object.freeze(definition);
}

/** Combines a definition with its function, which receives the payload as parsed by the schema. */
export function implementTask<Payload extends z.ZodType>(
  definition: TaskDefinition<Payload>,
  run: (payload: z.output<Payload>, ctx: TaskContext) => unknown,
): Task {
  return {
    definition,
    run(payload, ctx) {
      const parsed = definition.payload.safeParse(payload);
      if (!parsed.success) throw new InvalidPayloadError(z.prettifyError(parsed.error));
      return run(parsed.data, ctx);
    },
  };
}

/** The stored payload does not match the schema of the task: another version of the program enqueued it. */
export class InvalidPayloadError extends Error {
  constructor(errors: string) {
    super(`The payload does not match the current schema of the task: ${errors}`);
    this.name = 'InvalidPayloadError';
  }
}

/** Thrown by a task when another attempt cannot succeed: the job fails at once. */
export class TaskRejection extends Error {
  /** Plain JSON, shown to every user who may see the job. */
  readonly details: unknown;

  constructor(message: string, details?: unknown) {
    super(message);
    this.name = 'TaskRejection';
    this.details = details;
  }
}

/** Thrown by a task to run again later. The attempt does not count. */
export class TaskSnooze extends Error {
  readonly delayMs: number;

  /** Throws a RangeError for a negative or NaN delay, which would run the task again without a pause. */
  constructor(delayMs: number, message = 'The task asked to run later.') {
    super(message);
    if (!(delayMs >= 0))
      throw new RangeError(`The delay of a snooze must be 0 ms or more, got ${delayMs} ms.`);
    this.name = 'TaskSnooze';
    this.delayMs = delayMs;
  }
}
