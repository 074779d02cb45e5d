import type { JobStatus } from '../../src/jobs/job.ts';

/** Creates the status of a waiting job, with the given fields replaced. */
export function jobStatus(facts: Partial<JobStatus>): JobStatus {
  const time = new Date('2026-01-31T12:00:00Z');
  return {
    id: 1,
    name: 'send_email',
    queue: 'mails',
    state: 'available',
    priority: 100,
    uniqueKey: null,
    userId: 7,
    requestId: null,
    attempt: 0,
    maxAttempts: 3,
    timeoutMs: 60_000,
    losses: 0,
    runAt: time,
    runner: null,
    cancelRequested: false,
    progress: 0,
    progressMessage: null,
    result: null,
    errors: [],
    retries: [],
    revision: 1,
    createdAt: time,
    startedAt: null,
    finishedAt: null,
    ...facts,
  };
}
