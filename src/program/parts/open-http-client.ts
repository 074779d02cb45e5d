import type { HealthCheck } from '../../features/health/health.ts';
import { createHttpClient, type HttpClient } from '../../http-client/http-client.ts';
import { type CircuitMetrics, createCircuitMetrics } from '../../observability/circuit-set.ts';
import type { Logger } from '../../observability/logger.ts';
import { createMetrics, type Metrics } from '../../observability/metrics/metrics.ts';
import type { Settings } from '../../settings/load.ts';

export interface HttpClientParts {
  readonly settings: Settings;
  readonly log: Logger;
  /** By default nothing reads the metrics: a thread that runs tasks has none of its own. */
  readonly metrics?: Metrics;
  readonly circuitMetrics?: CircuitMetrics;
}

/** Creates the client for calls of other services. It opens no connection before the first call. */
export function openHttpClient({
  settings,
  log,
  metrics = createMetrics(),
  circuitMetrics = createCircuitMetrics(metrics),
}: HttpClientParts): HttpClient {
  const { application } = settings;
  return createHttpClient({
    ...{ metrics, circuitMetrics },
    log: log.named('outgoing'),
    allowedAddresses: application.outgoingAllowedAddresses,
    userAgent: userAgent(application.projectName, application.projectVersion),
  });
}

/** Returns `name/version` (RFC 9110, section 10.1.5); the name of a project can have spaces and letters of any script. */
function userAgent(name: string, version: string): string {
  const token = (text: string) => text.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^-+|-+$/g, '');
  return `${token(name) || 'strata'}/${token(version) || '0'}`;
}

/** Reports the called services with an open circuit; the server does the rest of its work. */
export function outgoingCheck(client: HttpClient): HealthCheck {
  return {
    name: 'outgoing',
    required: false,
    async run() {
      const names = client.openCircuits();
      if (names.length === 0) return undefined;
      return { degraded: `Services that fail repeatedly are not called at the moment: ${names.join(', ')}.` };
    },
  };
}
