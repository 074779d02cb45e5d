import { AppError } from '../errors.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics/metrics.ts';
import type { Received } from './exchange.ts';
import type { OutgoingRequest } from './outgoing-request.ts';

/** A call that has ended. */
export interface CallFacts {
  readonly request: OutgoingRequest;
  readonly method: string;
  /** Undefined if it could not be parsed. */
  readonly url: URL | undefined;
  readonly attempts: number;
  readonly seconds: number;
}

export interface CallReport {
  completed(facts: CallFacts, received: Received): void;
  failed(facts: CallFacts, error: unknown): void;
  countRetry(service: string): void;
}

const durations = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Writes one log event for each call and counts it. The label `outcome` is `2xx` to `5xx`, the code of an error, or `aborted`. */
export function createCallReport(log: Logger, metrics: Metrics): CallReport {
  const duration = metrics.histogram({
    name: 'outgoing_request_duration_seconds',
    help: 'Calls of other services with their retries, by service and outcome.',
    labels: ['service', 'outcome'],
    bounds: durations,
  });
  const retries = metrics.counter({
    name: 'outgoing_retries_total',
    help: 'Attempts of calls of other services after the first.',
    labels: ['service'],
  });
  const fieldsOf = ({ request, method, url, attempts, seconds }: CallFacts) => ({
    service: request.service,
    method,
    url: url === undefined ? undefined : showUrl(url, request.hidePath === true),
    attempts,
    duration_ms: Math.round(seconds * 1000),
  });
  return {
    completed(facts, { status, body }) {
      duration.of(facts.request.service, `${Math.floor(status / 100)}xx`).observe(facts.seconds);
      const fields = { ...fieldsOf(facts), status, bytes: body.length };
      if (status < 500) log.info('outgoing.completed', fields);
      else log.warning('outgoing.completed', fields);
    },
    failed(facts, error) {
      const outcome = error instanceof AppError ? error.code : 'aborted';
      duration.of(facts.request.service, outcome).observe(facts.seconds);
      log.warning('outgoing.failed', { ...fieldsOf(facts), outcome, error });
    },
    countRetry: (service) => retries.of(service).add(),
  };
}

/** Returns the URL for the log and for tracers: without query and credentials, which can be secrets. */
export function showUrl(url: URL, hidePath: boolean): string {
  return hidePath ? url.origin : `${url.origin}${showPath(url.pathname)}`;
}
