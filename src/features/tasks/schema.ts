import * as z from 'zod';
import { id, timestamp } from '../../http/headers/fields.ts';
import { type JobErrorCode, jobErrorCodes, jobStates } from '../../jobs/job.ts';

/** Why the last attempt of a task failed, as its user may know it. */
const taskError = z
  .object({
    code: z.enum(jobErrorCodes).meta({ description: 'What kind of failure it was.', example: 'refused' }),
    message: z.string().meta({
      description: 'A sentence that says what was wrong.',
      example: 'The file has rows that cannot be imported.',
      maxLength: 2000,
    }),
    details: z
      .unknown()
      .meta({ description: 'What the task says of it beyond that: any JSON, null for nothing.' }),
  })
  .meta({ id: 'TaskError', description: 'Why the last attempt of a task failed.' });

/** A task as answers and events show it. */
export const task = z
  .object({
    id: id.meta({ description: 'The number of the task.' }),
    task: z.string().meta({ description: 'What it does.', example: 'send_email', maxLength: 50 }),
    state: z.enum(jobStates).meta({
      description:
        '`scheduled` and `available` wait for their time or their turn; `completed`, `failed` and `cancelled` are final.',
      example: 'running',
    }),
    progress: z.number().min(0).max(1).meta({ description: 'How far it is, from 0 to 1.', format: 'double' }),
    progress_message: z
      .string()
      .nullable()
      .meta({ description: 'What it is at, in its own words.', maxLength: 2000 }),
    cancel_requested: z
      .boolean()
      .meta({ description: 'Whether a running task was told to end, and has not ended yet.' }),
    result: z.unknown().meta({ description: 'What a completed task gives: any JSON, null for nothing.' }),
    error: taskError.nullable().meta({
      description: 'Why its last attempt failed; null if none has, or if a later one has completed the task.',
    }),
    attempt: z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .meta({ description: 'Which attempt it is at; 0 before the first.', example: 1 }),
    max_attempts: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .meta({ description: 'After how many attempts it is given up.', example: 10 }),
    created_at: timestamp.meta({ description: 'When it was asked for.' }),
    run_at: timestamp.meta({ description: 'Before when it does not start.' }),
    started_at: timestamp
      .nullable()
      .meta({ description: 'When its last attempt began; null before the first.' }),
    finished_at: timestamp.nullable().meta({ description: 'When it came to its final state; null before.' }),
  })
  .meta({ id: 'Task', description: 'Work that is done in the background.' });
export type TaskView = z.input<typeof task>;

/** The answer to what starts a task. */
export const startedTask = z
  .object({ task_id: id.meta({ description: 'The number of the task, for `GET /tasks/{id}`.' }) })
  .meta({ id: 'StartedTask', description: 'A task that was started.' });

/**
 * What a failure is called before the user. A task that refuses speaks to its user; of what was thrown by accident, and
 * may tell of the machine inside, only the operator learns the message.
 */
export const errorMessages: Readonly<Record<Exclude<JobErrorCode, 'refused'>, string>> = {
  threw: 'The task failed because of a fault of the server. Quote its number when you report it.',
  timeout: 'The task took longer than it may.',
  thread_ended: 'The task ended the thread that it ran in.',
  out_of_memory: 'The task needed more memory than it may have.',
  runner_lost: 'The process that ran the task ended before the task did.',
  crashed: 'The task crashed the process that it ran in.',
  unknown_task: 'No program that runs here knows this kind of task.',
  invalid_payload: 'The task does not understand what it was given.',
  invalid_result: 'The task ended with a result that cannot be kept.',
};
