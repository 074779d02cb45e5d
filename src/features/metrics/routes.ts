import { raw } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import type { MetricsSnapshot } from '../../observability/metrics/metrics.ts';
import { prometheusContentType, renderPrometheus } from '../../observability/metrics/prometheus.ts';

export interface MetricsRoutesOptions {
  /** What all workers have counted. */
  readonly collect: () => Promise<MetricsSnapshot>;
}

/**
 * The metrics for Prometheus on the public port, where the settings ask for it. A scrape counts and is limited like
 * every other request: anybody can ask, and the answer is not for nothing.
 */
export function metricsRoutes({ collect }: MetricsRoutesOptions): Route[] {
  return [
    route({
      method: 'GET',
      path: '/metrics',
      operationId: 'getMetrics',
      summary: 'What was counted',
      tags: ['metrics'],
      auth: 'none',
      hidden: true,
      costs: ['large-response'],
      limits: [{ name: 'metrics', by: 'address', quota: 60, windowMs: 60_000 }],
      responses: { 200: { description: 'The metrics.', contentType: prometheusContentType } },
      handler: async () => raw(renderPrometheus(await collect()), prometheusContentType),
    }),
  ];
}
