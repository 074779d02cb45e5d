import type { Sql } from '../../src/db/sql.ts';
import type { JobError, JobState } from '../../src/jobs/job.ts';

export interface StoredJob {
  readonly state: JobState;
  readonly name?: string;
  readonly queue?: string;
  readonly payload?: unknown;
  readonly result?: unknown;
  /** By default 1 if it has started or failed before, else 0. */
  readonly attempt?: number;
  readonly errors?: readonly JobError[];
  readonly requestId?: string;
  readonly uniqueKey?: string;
  readonly progress?: number;
  readonly progressMessage?: string;
  readonly runAt?: Date;
  readonly startedAt?: Date | null;
  readonly finishedAt?: Date;
}

const error: JobError = {
  attempt: 1,
  at: '2026-01-31T12:00:00.000Z',
  code: 'threw',
  message: 'The mail server is away.',
};

/** Inserts a job in any state, as if a runner had brought it there. Returns its id. */
export async function mustStoreJob(sql: Sql, job: StoredJob): Promise<number> {
  const { state } = job;
  const now = new Date();
  const isFinished = state === 'completed' || state === 'failed' || state === 'cancelled';
  const hasStarted = isFinished || state === 'running';
  const errors = job.errors ?? (state === 'failed' ? [error] : []);
  const [row] = await sql<{ id: number }[]>`
    insert into jobs (name, queue, state, priority, payload, result, attempt, max_attempts, timeout_ms, run_at, runner,
      errors, request_id, unique_key, progress, progress_message, started_at, finished_at)
    values (${job.name ?? 'send_email'}, ${job.queue ?? 'default'}, ${state}, 100,
      ${JSON.stringify(job.payload ?? {})}::text::jsonb,
      ${job.result === undefined ? null : JSON.stringify(job.result)}::text::jsonb,
      ${job.attempt ?? (hasStarted || errors.length > 0 ? 1 : 0)}, 10, 60000, ${job.runAt ?? now}, ${state === 'running' ? 1 : null},
      ${JSON.stringify(errors)}::text::jsonb, ${job.requestId ?? null}, ${job.uniqueKey ?? null},
      ${job.progress ?? 0}, ${job.progressMessage ?? null},
      ${job.startedAt === undefined ? (hasStarted ? now : null) : job.startedAt},
      ${isFinished ? (job.finishedAt ?? now) : null})
    returning id`;
  if (row === undefined) throw new Error('The job was not stored.');
  return row.id;
}
