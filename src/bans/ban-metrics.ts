import type { Metrics } from '../observability/metrics/metrics.ts';

/** Declares the metrics of the registry. */
export function createBanMetrics(metrics: Metrics) {
  return {
    active: metrics.gauge({
      name: 'bans_active',
      help: 'Clients that are banned now, on this node.',
    }),
    started: metrics.counter({
      name: 'bans_started_total',
      help: 'Bans that this node has started, by reason: rate_limit, authentication or manual.',
      labels: ['reason'],
    }),
  };
}

/** Declares the metric of the exchange with other nodes. */
export function createBanStoreGauge(metrics: Metrics) {
  return metrics.gauge({
    name: 'ban_store_up',
    help: 'Whether this node exchanges bans with the other nodes over the shared store (1), or not (0).',
  });
}
