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
  /** Gives back all that is leased: when the last request has been answered. Idempotent. */
  stop(): void;
}

/** How long a worker waits for the primary. After the first time that this was in vain, it does not wait any more. */
const deadlineMs = 1000;

const sweepMs = 25;

/** Starts the limiter of a worker, on the clock of the host. */
export function startWorkerLimits({ channel, onFailure, log, metrics }: WorkerLimitsOptions): StartedLimits {
  const unanswered = metrics.counter({
    name: 'rate_limit_unanswered_total',
    help: 'Requests that were let in or refused, as the settings say, because the primary did not answer.',
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
          'The primary is overloaded or gone; SECURITY_RATE_LIMIT_ON_FAILURE says what becomes of requests.',
      });
    },
  });
  const timer = setInterval(store.sweep, sweepMs).unref();
  return {
    store,
    stop() {
      clearInterval(timer);
      store.settle();
    },
  };
}
