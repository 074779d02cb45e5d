import type { NewJob } from '../../src/jobs/store.ts';

/** Creates a job to enqueue, with the given fields replaced. */
export function newJob(facts: Partial<NewJob> = {}): NewJob {
  return {
    name: 'add',
    queue: 'default',
    priority: 100,
    payload: '{}',
    uniqueKey: null,
    userId: null,
    requestId: null,
    traceparent: null,
    tracestate: null,
    maxAttempts: 3,
    timeoutMs: 1000,
    runAt: null,
    ...facts,
  };
}
