import * as z from 'zod';
import { timestamp } from '../../http/body/fields.ts';
import { idParameter, integerParameter } from '../../http/parameters/parameters.ts';
import { shownStates } from '../../jobs/admin/shown-state.ts';
import { jobErrorCodes } from '../../jobs/job.ts';

/** The queries and answers of the data routes of the dashboard. */

const name = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,49}$/, 'Use a name of lower-case letters, digits and underscores.');
/** An empty form field is treated as a missing parameter. */
const optionalWord = z
  .string()
  .max(200, 'Use at most 200 characters.')
  .refine((word) => !word.includes('\0'), 'Remove the NUL.')
  .transform((word) => (word.trim() === '' ? undefined : word.trim()))
  .optional();

export const jobParams = z.object({ id: idParameter });
/** The name of a queue or a schedule. */
export const nameParams = z.object({ name });

/** Filters the list of jobs. */
export const listQuery = z.object({
  state: z.enum(shownStates).optional(),
  queue: optionalWord,
  task: optionalWord,
  text: optionalWord,
  before: idParameter.optional(),
});

/** Filters the failed or retrying jobs to count. */
export const batchCountQuery = z.object({ queue: optionalWord, task: optionalWord });

/** Filters the failed or retrying jobs to change: those after an id. */
export const batchQuery = batchCountQuery.extend({
  after: integerParameter(0, Number.MAX_SAFE_INTEGER).optional(),
});

const access = z.object({
  writes: z.enum(['allowed', 'token_missing', 'not_configured']),
  contents: z.boolean(),
});

const count = z.object({
  queue: z.string(),
  task: z.string(),
  state: z.enum(shownStates),
  jobs: z.int(),
  first_run_at: timestamp.nullable(),
});

const percentiles = z.object({ p50: z.number(), p95: z.number() });

export const overview = z.object({
  access,
  now: timestamp,
  active: z.array(count),
  finished: z.array(count).nullable(),
  paused: z.array(z.object({ queue: z.string(), since: timestamp })),
  runners: z.array(
    z.object({
      id: z.int(),
      host: z.string(),
      pid: z.int(),
      version: z.string(),
      threads: z.int(),
      started_at: timestamp,
      running: z.int(),
      alive: z.boolean(),
    }),
  ),
  schedules: z.array(
    z.object({
      name: z.string(),
      cron: z.string(),
      time_zone: z.string(),
      /** Since when it is paused; null if it is not. */
      paused_at: timestamp.nullable(),
      /** When an operator requested a run that is not enqueued yet. */
      run_requested_at: timestamp.nullable(),
      last_run_at: timestamp.nullable(),
      /** The job of the last run. Its state is null if the job was pruned. */
      last_job: z.object({ id: z.int(), state: z.enum(shownStates).nullable() }).nullable(),
      next_run_at: timestamp.nullable(),
    }),
  ),
  minutes: z.array(
    z.object({
      start: timestamp,
      completed: z.int(),
      failed: z.int(),
      cancelled: z.int(),
      wait: percentiles.nullable(),
      run: percentiles.nullable(),
    }),
  ),
});

const summary = z.object({
  id: z.int(),
  name: z.string(),
  queue: z.string(),
  state: z.enum(shownStates),
  attempt: z.int(),
  max_attempts: z.int(),
  progress: z.number(),
  /** Null also if contents are not shown. */
  progress_message: z.string().nullable(),
  request_id: z.string().nullable(),
  runner: z.int().nullable(),
  cancel_requested: z.boolean(),
  run_at: timestamp,
  created_at: timestamp,
  started_at: timestamp.nullable(),
  finished_at: timestamp.nullable(),
});

export const jobList = z.object({
  access,
  jobs: z.array(
    summary.extend({
      last_error: z.object({ code: z.string(), message: z.string().nullable() }).nullable(),
    }),
  ),
  before: z.int().nullable(),
});

const jobError = z.object({
  attempt: z.int(),
  at: z.string(),
  code: z.enum(jobErrorCodes),
  message: z.string().nullable(),
  details: z.unknown().optional(),
  stack: z.string().optional(),
});

export const oneJob = z.object({
  access,
  now: timestamp,
  job: summary.extend({
    priority: z.int(),
    timeout_ms: z.int(),
    user_id: z.int().nullable(),
    unique_key: z.string().nullable(),
    errors: z.array(jobError),
    /** When an operator made it available. */
    retries: z.array(z.string()),
    /** Omitted if contents are not shown. */
    payload: z.unknown().optional(),
    result: z.unknown().optional(),
  }),
});

/** How many jobs a change would concern. */
export const batchCount = z.object({
  jobs: z.int(),
  /** Whether counting stopped at the maximum. */
  or_more: z.boolean(),
});

export const retriedBatch = z.object({
  retried: z.int(),
  /** Where to continue; null at the end. */
  after: z.int().nullable(),
});

export const startedBatch = z.object({
  started: z.int(),
  /** Where to continue; null at the end. */
  after: z.int().nullable(),
});
