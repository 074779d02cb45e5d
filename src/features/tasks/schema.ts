import * as z from 'zod';
import { id, timestamp } from '../../http/body/fields.ts';
import { type JobErrorCode, jobErrorCodes, jobStates } from '../../jobs/job.ts';

/** Why the last attempt of a task failed, without details that only operators may see. */
const taskError = z
  .object({
    code: z.enum(jobErrorCodes).meta({ description: 'The kind of failure.', example: 'refused' }),
    message: z.string().meta({
      description: 'A sentence with the reason.',
      example: 'The file has rows that cannot be imported.',
      maxLength: 2000,
    }),
    details: z.unknown().meta({ description: 'More details from the task: any JSON, or null.' }),
  })
  .meta({ id: 'TaskError', description: 'Why the last attempt of a task failed.' });

/** A task as responses and events show it. */
export const task = z
  .object({
    id: id.meta({ description: 'The number of the task.' }),
    task: z.string().meta({ description: 'The kind of task.', example: 'send_email', maxLength: 50 }),
    state: z.enum(jobStates).meta({
      description:
        '`scheduled` tasks wait for their time, `available` tasks for a runner; `completed`, `failed` and `cancelled` are final.',
      example: 'running',
    }),
    progress: z.number().min(0).max(1).meta({ description: 'The progress, from 0 to 1.', format: 'double' }),
    progress_message: z
      .string()
      .nullable()
      .meta({ description: 'A message of the task about its progress.', maxLength: 2000 }),
    cancel_requested: z.boolean().meta({ description: 'Whether a running task has a cancel request.' }),
    result: z.unknown().meta({ description: 'The result of a completed task: any JSON, or null.' }),
    error: taskError.nullable().meta({
      description:
        'Why the last attempt failed; null if none has failed, or if a later one has completed the task.',
    }),
    attempt: z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .meta({ description: 'The number of the current or last attempt; 0 before the first.', example: 1 }),
    max_attempts: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .meta({ description: 'After how many attempts the task fails permanently.', example: 10 }),
    created_at: timestamp.meta({ description: 'When the task was created.' }),
    run_at: timestamp.meta({ description: 'The earliest start of the next attempt.' }),
    started_at: timestamp
      .nullable()
      .meta({ description: 'When the last attempt started; null before the first.' }),
    finished_at: timestamp
      .nullable()
      .meta({ description: 'When the task reached its final state; null before that.' }),
  })
  .meta({ id: 'Task', description: 'Work in the background.' });
export type TaskView = z.input<typeof task>;

/** The response of routes that start a task. */
export const startedTask = z
  .object({ task_id: id.meta({ description: 'The number of the task, for `GET /tasks/{id}`.' }) })
  .meta({ id: 'StartedTask', description: 'A task that was started.' });

/**
 * The messages of failures for users. A task that refuses has its own message for the user. The message of an unexpected
 * error may reveal internals, so only operators see it.
 */
export const errorMessages: Readonly<Record<Exclude<JobErrorCode, 'refused'>, string>> = {
  threw: 'The task failed because of a server error. Quote the number of the task when you report it.',
  timeout: 'The task exceeded its timeout.',
  thread_ended: 'The task terminated its thread.',
  out_of_memory: 'The task exceeded its memory limit.',
  runner_lost: 'The process that ran the task exited before the task finished.',
  crashed: 'The task crashed its process.',
  unknown_task: 'No running program has this kind of task.',
  invalid_payload: 'The input of the task is invalid.',
  invalid_result: 'The result of the task cannot be stored.',
};
