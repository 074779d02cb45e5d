import { createLogThrottle } from './log/log-throttle.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics/metrics.ts';

const reasons = ['full', 'address'] as const;
export type RefusedConnectionReason = (typeof reasons)[number];

const lineEveryMs = 10_000;

const advice: Readonly<Record<RefusedConnectionReason, string>> = {
  full: 'All connections are in use: raise APP_MAX_CONNECTIONS or ulimit -n, or run more workers.',
  address:
    'One address has reached its share of the connections (APP_MAX_CONNECTIONS_PER_ADDRESS). If it is your proxy, add it to SECURITY_TRUSTED_PROXIES.',
};

/** Counts rejected connections, and logs at most one line per reason in ten seconds. An unknown address is ''. */
export function reportRefusedConnections(
  log: Logger,
  metrics: Metrics,
): (reason: RefusedConnectionReason, address: string) => void {
  const counter = metrics.counter({
    name: 'http_connections_refused_total',
    help: `Connections closed at once, by the reason: ${reasons.join(', ')}.`,
    labels: ['reason'],
  });
  const states = new Map(
    reasons.map((reason) => [
      reason,
      { count: counter.of(reason), throttle: createLogThrottle(lineEveryMs) },
    ]),
  );
  return (reason, address) => {
    const state = states.get(reason);
    state?.count.add();
    const unlogged = state?.throttle();
    if (unlogged === undefined) return;
    log.warning('http.connection.refused', {
      reason,
      ...(address === '' ? {} : { client_address: address }),
      unlogged,
      advice: advice[reason],
    });
  };
}
