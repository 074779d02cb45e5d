import type { JobError, JobStatus } from '../../jobs/job.ts';
import { errorMessages, type TaskView } from './schema.ts';

/** Returns a job as its user may see it: without its payload, stack traces and other operator data. */
export function viewTask(job: JobStatus): TaskView {
  const error = job.state === 'completed' ? undefined : job.errors.at(-1);
  return {
    id: job.id,
    task: job.name,
    state: job.state,
    progress: job.progress,
    progress_message: job.progressMessage,
    cancel_requested: job.cancelRequested && job.state === 'running',
    result: job.result ?? null,
    error: error === undefined ? null : viewError(error),
    attempt: job.attempt,
    max_attempts: job.maxAttempts,
    created_at: job.createdAt,
    run_at: job.runAt,
    started_at: job.startedAt,
    finished_at: job.finishedAt,
  };
}

function viewError({ code, message, details = null }: JobError): TaskView['error'] {
  return code === 'refused'
    ? { code, message, details }
    : { code, message: errorMessages[code], details: null };
}
