import type { Logger } from '../../observability/logger.ts';
import type { ClaimedJob } from '../attempt-store.ts';
import type { RecordedOutcome } from './completer.ts';

/** The fields by which every line about a job can be found: also the id of the request that enqueued it. */
export function jobFields({ id, name, attempt, requestId }: ClaimedJob) {
  return {
    job_id: id,
    task: name,
    attempt,
    ...(requestId === null ? {} : { request_id: requestId }),
  };
}

/** Writes the line that says what became of an attempt. `durationMs` is null if it had no thread. */
export function logOutcome(
  log: Logger,
  job: ClaimedJob,
  ending: RecordedOutcome,
  durationMs: number | null,
): void {
  const fields = {
    ...jobFields(job),
    ...(durationMs === null ? {} : { duration_ms: Math.round(durationMs * 10) / 10 }),
    wait_ms: Math.round(job.waitMs),
    ...('error' in ending ? { code: ending.error.code, reason: ending.error.message } : {}),
  };
  switch (ending.kind) {
    case 'failed':
      // A task that refuses speaks to its user: the input was wrong, and nothing is for the operator to do.
      log[ending.error.code === 'refused' ? 'info' : 'error']('job.failed', fields);
      break;
    case 'retried':
      log.warning('job.retry_scheduled', { ...fields, retry_after_ms: ending.retryAfterMs });
      break;
    case 'lost':
      log.warning('job.lost', fields);
      break;
    default:
      log.info(`job.${ending.kind}`, fields);
  }
}
