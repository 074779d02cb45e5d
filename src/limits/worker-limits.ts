import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import { createHostClock } from './host-clock.ts';
import type { LimitStore } from './limit-store.ts';
import { createWorkerLimitStore, type WorkerLimitStoreOptions } from './worker-store.ts';

export interface WorkerLimitsOptions extends Pick<WorkerLimitStoreOptions, 'channel' | 'onFailure'> {
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface StartedLimits {
  readonly store: LimitStore;
  /** Returns all leases to the primary. Call it after the last response. Idempotent. */
  stop(): void;
}

/** How long a worker waits for the primary. After one timeout, it stops waiting until the primary answers again. */
const deadlineMs = 1000;

const sweepMs = 25;

/** Starts the limiter of a worker, with the clock of the host. */
export function startWorkerLimits({ channel, onFailure, log, metrics }: WorkerLimitsOptions): StartedLimits {
  const unanswered = metrics.counter({
    name: 'rate_limit_unanswered_total',
    help: 'Requests that were allowed or rejected without the primary, because it did not answer in time.',
  });
  const store = createWorkerLimitStore({
    channel,
    now: createHostClock(),
    deadlineMs,
    onFailure,
    onUnanswered(requests) {
      unanswered.of().add(requests);
      log.error('rate_limit.store_failed', {
        requests,
        advice:
          'The primary is overloaded or gone. Requests are allowed or rejected as SECURITY_RATE_LIMIT_ON_FAILURE specifies.',
      });
    },
  });
  const timer = setInterval(store.sweep, sweepMs).unref();
  return {
    store,
    stop() {
      clearInterval(timer);
      store.returnLeases();
    },
  };
}
