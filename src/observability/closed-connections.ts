/** Reports connections that the server closes: a counter, and at most one log line per reason in ten seconds. */

import { createLogThrottle } from './log/log-throttle.ts';
import type { Logger } from './logger.ts';
import type { CounterSeries, Metrics } from './metrics/metrics.ts';

export type RefusedConnectionReason = 'full' | 'address';
export type CutConnectionReason = 'slow_reader' | 'pipelining';

/** Reports one connection. An unknown address is ''. */
export type ReportConnection<Reason> = (reason: Reason, address: string) => void;

const lineEveryMs = 10_000;

/** Reports connections that were closed before their first request. */
export function reportRefusedConnections(
  log: Logger,
  metrics: Metrics,
): ReportConnection<RefusedConnectionReason> {
  return createReport({
    log,
    metrics,
    event: 'http.connection.refused',
    metric: 'http_connections_refused_total',
    help: 'Connections closed at once, by the reason: full, address.',
    advice: {
      full: 'All connections are in use: raise APP_MAX_CONNECTIONS or ulimit -n, or run more workers.',
      address:
        'One address has reached its share of the connections (APP_MAX_CONNECTIONS_PER_ADDRESS). If it is your proxy, add it to SECURITY_TRUSTED_PROXIES.',
    },
  });
}

/** Reports connections that were closed because of their clients. */
export function reportCutConnections(log: Logger, metrics: Metrics): ReportConnection<CutConnectionReason> {
  return createReport({
    log,
    metrics,
    event: 'http.connection.cut',
    metric: 'http_connections_cut_total',
    help: 'Connections closed because of their clients, by the reason: slow_reader (the client did not read the response), pipelining (it sent too many requests without waiting for the responses).',
    advice: {
      slow_reader:
        'The client has read less than 240 bytes per second of a response for APP_SEND_TIMEOUT_SECONDS. If it is your proxy, let it buffer responses, or raise the setting.',
      pipelining: 'The client has sent hundreds of requests without waiting for the responses.',
    },
  });
}

interface ReportOptions<Reason extends string> {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly event: 'http.connection.refused' | 'http.connection.cut';
  readonly metric: string;
  readonly help: string;
  readonly advice: Readonly<Record<Reason, string>>;
}

function createReport<Reason extends string>(options: ReportOptions<Reason>): ReportConnection<Reason> {
  const { log, metrics, event, metric, help, advice } = options;
  const counter = metrics.counter({ name: metric, help, labels: ['reason'] });
  const states = new Map<
    string,
    { readonly count: CounterSeries; readonly throttle: () => number | undefined }
  >(
    Object.keys(advice).map((reason) => [
      reason,
      { count: counter.of(reason), throttle: createLogThrottle(lineEveryMs) },
    ]),
  );
  return (reason, address) => {
    const state = states.get(reason);
    state?.count.add();
    const unlogged = state?.throttle();
    if (unlogged === undefined) return;
    log.warning(event, {
      reason,
      ...(address === '' ? {} : { client_address: address }),
      unlogged,
      advice: advice[reason],
    });
  };
}
