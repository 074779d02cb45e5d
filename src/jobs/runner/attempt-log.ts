import type { Logger } from '../../observability/logger.ts';
import type { ClaimedJob } from '../attempt-store.ts';
import type { RecordedOutcome } from './completer.ts';

/** The fields that every log line about an attempt has, including the id of the request that enqueued the job. */
export function jobFields({ id, name, attempt, requestId, trace }: ClaimedJob) {
  return {
    job_id: id,
    task: name,
    attempt,
    ...(requestId === null ? {} : { request_id: requestId }),
    trace_id: trace.traceId,
    span_id: trace.spanId,
  };
}

/** Logs the outcome of an attempt. `durationMs` is null if it never had a thread. */
export function logOutcome(
  log: Logger,
  job: ClaimedJob,
  outcome: RecordedOutcome,
  durationMs: number | null,
): void {
  const fields = {
    ...jobFields(job),
    ...(durationMs === null ? {} : { duration_ms: Math.round(durationMs * 10) / 10 }),
    wait_ms: Math.round(job.waitMs),
    ...('error' in outcome ? { code: outcome.error.code, reason: outcome.error.message } : {}),
  };
  switch (outcome.kind) {
    case 'failed':
      // A rejection is for the user: the input was wrong, and there is nothing for the operator to do.
      log[outcome.error.code === 'refused' ? 'info' : 'error']('job.failed', fields);
      break;
    case 'retried':
      log.warning('job.retry_scheduled', { ...fields, retry_after_ms: outcome.retryAfterMs });
      break;
    case 'lost':
      log.warning('job.lost', fields);
      break;
    default:
      log.info(`job.${outcome.kind}`, fields);
  }
}
