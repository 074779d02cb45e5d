/**
 * Tasks: what a job does. A definition says what everybody may know of it, so that whoever enqueues needs nothing else:
 * its name, the schema of its payload, how it is tried again. An implementation adds the function that a thread runs.
 *
 *     export const sendEmail = defineTask({ name: 'send_email', payload: z.object({ userId: z.number() }) });
 *     const task = implementTask(sendEmail, async (payload, ctx) => { ... });
 *
 * A task may be run more than once: its process can be killed after its effect and before that was recorded. What it
 * writes to the database is exactly once if it writes in `ctx.tx`, which records the completion in the same
 * transaction. An effect elsewhere, such as a mail, is at least once.
 */

import * as z from 'zod';
import type { Sql } from '../db/sql.ts';
import type { Logger } from '../observability/logger.ts';
import type { Backoff } from '../resilience/retry.ts';

export interface TaskOptions {
  /** Which queue its jobs wait in: a queue can be paused by itself. */
  readonly queue: string;
  /** 0 comes first, 1000 last. */
  readonly priority: number;
  readonly maxAttempts: number;
  /** How long one attempt may take, in milliseconds. */
  readonly timeoutMs: number;
  /** The wait after a failed attempt. */
  readonly backoff: Backoff;
}

export interface TaskDefinition<Payload extends z.ZodType = z.ZodType> extends TaskOptions {
  /** Lower case with underscores: `send_email`. Stands in the table, so it stays when the function moves. */
  readonly name: string;
  readonly payload: Payload;
}

/** What a task is given beside its payload. */
export interface TaskContext {
  readonly job: {
    readonly id: number;
    readonly attempt: number;
    readonly maxAttempts: number;
    readonly userId: number | null;
  };
  /** Its lines carry the job's id, the task's name, the attempt, and the id of the request that enqueued the job. */
  readonly log: Logger;
  /** Says how far it is: 0 to 1, and a line for whoever watches. Cheap; what comes too often is left out. */
  progress(fraction: number, message?: string): void;
  /** Aborted when the job is cancelled, late, or has to make room; the thread is ended a moment later. */
  readonly signal: AbortSignal;
  /** Queries outside of the transaction, such as reading before it. Each is committed on its own. */
  readonly sql: Sql;
  /**
   * Runs `work` in a transaction that also completes the job, with what `work` returns as its result: both happen or
   * neither. Rejects, and rolls back, if the job is no longer this attempt's. Once a job; a task returns right after
   * it. The transaction is not for `work` to end: a COMMIT or ROLLBACK sent inside fails the attempt.
   */
  tx<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result>;
}

/** A definition and the function that does it. What it returns is the job's result: plain JSON, at most 1 MB. */
export interface Task {
  readonly definition: TaskDefinition;
  /** Throws, or rejects, with what the task throws, and with an InvalidPayloadError. */
  run(payload: unknown, ctx: TaskContext): unknown;
}

const defaults: TaskOptions = {
  queue: 'default',
  priority: 100,
  maxAttempts: 10,
  timeoutMs: 60_000,
  backoff: { baseMs: 2_000, maxMs: 3_600_000 },
};

/** Declares a task. Throws an Error for a name or an option that the table would not take. */
export function defineTask<Payload extends z.ZodType>(
  spec: Pick<TaskDefinition<Payload>, 'name' | 'payload'> & Partial<TaskOptions>,
): TaskDefinition<Payload> {
  const definition = { ...defaults, ...spec };
  const { name, queue, priority, maxAttempts, timeoutMs } = definition;
  for (const word of [name, queue]) {
    if (!/^[a-z][a-z0-9_]{0,49}$/.test(word)) throw new Error(`"${word}" is no name of a task or a queue.`);
  }
  const inRange = (value: number, min: number, max: number) =>
    Number.isInteger(value) && value >= min && value <= max;
  if (!inRange(priority, 0, 1000) || !inRange(maxAttempts, 1, 1000) || !inRange(timeoutMs, 1, 2 ** 31 - 1)) {
    throw new Error(`The task ${name} has a priority, attempts or a timeout out of range.`);
  }
  return Object.freeze(definition);
}

/** Joins a definition with its function, which gets the payload as the schema gives it. */
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

/** What the table holds does not fit the schema of the task, for another version of the program has enqueued it. */
export class InvalidPayloadError extends Error {
  constructor(errors: string) {
    super(`The payload is not as the task takes it now: ${errors}`);
    this.name = 'InvalidPayloadError';
  }
}

/** Thrown by a task for which another attempt would be in vain: the job fails at once. */
export class TaskRefusal extends Error {
  /** Shown to whoever may see the job: plain JSON. */
  readonly details: unknown;

  constructor(message: string, details?: unknown) {
    super(message);
    this.name = 'TaskRefusal';
    this.details = details;
  }
}

/** Thrown by a task that wants to be run again later. The attempt does not count. */
export class TaskSnooze extends Error {
  readonly delayMs: number;

  /** Throws a RangeError for what is no time to wait: the task would be run again without a pause. */
  constructor(delayMs: number, message = 'The task wants to be run later.') {
    super(message);
    if (!(delayMs >= 0)) throw new RangeError(`A task cannot be run again in ${delayMs} ms.`);
    this.name = 'TaskSnooze';
    this.delayMs = delayMs;
  }
}
