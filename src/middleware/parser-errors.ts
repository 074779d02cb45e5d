/**
 * Reports messages that the HTTP parser rejected. They never become requests, so no layer sees them. Each gets a log line,
 * is counted in the metrics, and counts against the limit of its address.
 */

import { type AddressSet, clientKey } from '../http/connection/addresses.ts';
import type { MalformedReport } from '../http/connection/malformed.ts';
import type { Decision, Limit, LimitStore } from '../limits/limit-store.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';

export interface ParserErrorReporterOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The limit that the message counts against; undefined if requests are not limited. */
  readonly limits: { readonly limit: Limit; readonly store: LimitStore } | undefined;
  /** Called with the address of a message that is over the limit. */
  readonly onExceeded: (address: string) => void;
  /** Whether an address is a trusted proxy. Messages from a proxy are not limited, because their client is unknown. */
  readonly isProxy: AddressSet;
}

/** Returns the function that receives the reports of one server. */
export function createParserErrorReporter(
  options: ParserErrorReporterOptions,
): (report: MalformedReport) => void {
  const { log, metrics, limits, onExceeded, isProxy } = options;
  const total = metrics.counter({
    name: 'http_malformed_total',
    help: 'Messages that the parser rejected, by the status of the response. They are not counted as requests.',
    labels: ['status'],
  });

  return function reportParserError({ reason, status, clientAddress, inPipeline }) {
    log.info('http.client.malformed', { client_address: clientAddress, reason, status });
    // The body of a request broke off. The layers have seen that request.
    if (inPipeline) return;
    total.of(String(status ?? 'none')).add();
    if (limits === undefined || clientAddress === '' || isProxy(clientAddress)) return;
    const decision = limits.store.take(limits.limit, clientKey(clientAddress));
    const report = ({ allowed }: Decision) => {
      if (!allowed) onExceeded(clientAddress);
    };
    // The message is already rejected, and the store logs its own errors.
    if (decision instanceof Promise) decision.then(report, () => {});
    else report(decision);
  };
}
