import type { MinuteStatistics } from '../../jobs/admin/minute-statistics.ts';
import type { JobCount } from '../../jobs/admin/overview.ts';
import type { ScheduleReport } from '../../jobs/admin/schedules.ts';
import type { ListedJob } from '../../jobs/admin/search.ts';
import { shownStateOf } from '../../jobs/admin/shown-state.ts';
import type { Job, JobError } from '../../jobs/job.ts';

/**
 * Jobs in the form that the dashboard receives, in snake_case. Without `contents` the payload, the result, the messages and
 * stacks of errors, and the progress message of the task are omitted.
 */

export function describeCounts(counts: readonly JobCount[]) {
  return counts.map(({ firstRunAt, ...count }) => ({ ...count, first_run_at: firstRunAt }));
}

export function describeMinute({ start, completed, failed, cancelled, wait, run }: MinuteStatistics) {
  return { start, completed, failed, cancelled, wait, run };
}

export function describeSchedule(schedule: ScheduleReport) {
  return {
    name: schedule.name,
    cron: schedule.cron,
    time_zone: schedule.timeZone,
    paused_at: schedule.pausedAt,
    run_requested_at: schedule.runRequestedAt,
    last_run_at: schedule.lastRunAt,
    last_job: schedule.lastJob,
    next_run_at: schedule.nextRunAt,
  };
}

export function describeListedJob(job: ListedJob, contents: boolean) {
  const { lastError } = job;
  return {
    ...describeAny(job, contents),
    last_error:
      lastError === null ? null : { code: lastError.code, message: contents ? lastError.message : null },
  };
}

export function describeJob(job: Job, contents: boolean) {
  return {
    ...describeAny({ ...job, state: shownStateOf(job) }, contents),
    priority: job.priority,
    timeout_ms: job.timeoutMs,
    user_id: job.userId,
    unique_key: contents ? job.uniqueKey : null,
    errors: job.errors.map((error) => describeError(error, contents)),
    retries: [...job.retries],
    ...(contents && { payload: job.payload, result: job.result }),
  };
}

function describeError({ attempt, at, code, message, details, stack }: JobError, contents: boolean) {
  if (!contents) return { attempt, at, code, message: null };
  return { attempt, at, code, message, details, ...(stack !== undefined && { stack }) };
}

function describeAny(job: Omit<ListedJob, 'lastError'>, contents: boolean) {
  return {
    id: job.id,
    name: job.name,
    queue: job.queue,
    state: job.state,
    attempt: job.attempt,
    max_attempts: job.maxAttempts,
    progress: job.progress,
    progress_message: contents ? job.progressMessage : null,
    request_id: job.requestId,
    runner: job.runner,
    cancel_requested: job.cancelRequested,
    run_at: job.runAt,
    created_at: job.createdAt,
    started_at: job.startedAt,
    finished_at: job.finishedAt,
  };
}
