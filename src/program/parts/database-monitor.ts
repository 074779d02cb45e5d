import type { Database } from '../../db/database.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';

export interface DatabaseMonitorOptions {
  readonly database: Pick<Database, 'ping'>;
  readonly metrics: Metrics;
  /** The time between two pings, in milliseconds. */
  readonly everyMs?: number;
}

/** How long a ping may take, in milliseconds. */
const pingMs = 2_000;

/**
 * Pings the database, by default every ten seconds, and reports the result as `database_reachable`, so that an outage is noticed without
 * a request, and its end too. A ping never waits behind the queries of requests. Returns a function that stops the pings.
 */
export function startDatabaseMonitor({
  database,
  metrics,
  everyMs = 10_000,
}: DatabaseMonitorOptions): () => void {
  const reachable = declareReachable(metrics).of();
  reachable.set(1);
  let isAsking = false;
  const ask = () => {
    if (isAsking) return;
    isAsking = true;
    void database
      .ping(pingMs)
      .then(
        () => reachable.set(1),
        () => reachable.set(0),
      )
      .finally(() => {
        isAsking = false;
      });
  };
  const timer = setInterval(ask, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Declares the metric. */
export function declareReachable(metrics: Metrics) {
  return metrics.gauge({
    name: 'database_reachable',
    help: 'Whether the database answered the last ping of this process, sent every 10 seconds, or with every evaluation of alerts: 0 or 1.',
    perWorker: true,
  });
}
