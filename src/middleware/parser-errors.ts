/**
 * What the layers do for a request, done for a message that the parser has refused: it never becomes a request, so no
 * layer sees it. It gets a line in the log, a place in the metrics, and counts in the limit of its address.
 */

import { type AddressSet, clientKey } from '../http/addresses.ts';
import type { MalformedReport } from '../http/connection/malformed.ts';
import type { Limit, LimitStore } from '../limits/limit-store.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';

export interface ParserErrorReporterOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Where the message counts; undefined where requests are not limited. */
  readonly limits: { readonly limit: Limit; readonly store: LimitStore } | undefined;
  /** Whether an address is a trusted proxy, against which a message does not count: its client is not known. */
  readonly isProxy: AddressSet;
}

/** Makes the function that takes the reports of one server. */
export function createParserErrorReporter(
  options: ParserErrorReporterOptions,
): (report: MalformedReport) => void {
  const { log, metrics, limits, isProxy } = options;
  const total = metrics.counter({
    name: 'http_malformed_total',
    help: 'Messages that the parser refused, which are not among the requests, by the status of the answer.',
    labels: ['status'],
  });

  return function parserRefusals({ reason, status, clientAddress, inPipeline }) {
    log.info('http.client.malformed', { client_address: clientAddress, reason, status });
    // The body of a request broke off: the layers have seen it.
    if (inPipeline) return;
    total.of(String(status ?? 'none')).add();
    if (limits === undefined || clientAddress === '' || isProxy(clientAddress)) return;
    const decision = limits.store.take(limits.limit, clientKey(clientAddress));
    // The message is refused already. A store that does not answer says so in the log itself.
    if (decision instanceof Promise) decision.catch(() => {});
  };
}
