import { raw } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import type { MetricsSnapshot } from '../../observability/metrics/metrics.ts';
import { prometheusContentType, renderPrometheus } from '../../observability/metrics/prometheus.ts';

export interface MetricsRoutesOptions {
  /** Returns the metrics of all workers. */
  readonly collect: () => Promise<MetricsSnapshot>;
}

/**
 * The metrics for Prometheus on the public port, if the settings enable it. A scrape is counted and limited like every
 * other request, because anyone can send it and the response is large.
 */
export function metricsRoutes({ collect }: MetricsRoutesOptions): Route[] {
  return [
    route({
      method: 'GET',
      path: '/metrics',
      operationId: 'getMetrics',
      summary: 'Read the metrics',
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
