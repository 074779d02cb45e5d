import type { Metrics } from '../../observability/metrics/metrics.ts';

/** Declares the metrics of a shared store. */
export function createSharedStoreMetrics(metrics: Metrics) {
  return {
    up: metrics.gauge({
      name: 'rate_limit_store_up',
      help: 'Whether the shared store counts the rate limit (1), or this node alone (0).',
      perWorker: true,
    }),
    fallbacks: metrics.counter({
      name: 'rate_limit_fallback_total',
      help: 'Requests that the shared store of the rate limit did not count, because it failed or was late.',
    }),
    duration: metrics.histogram({
      name: 'rate_limit_store_duration_seconds',
      help: 'Duration of the calls to the shared store of the rate limit.',
      bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
    }),
  };
}
