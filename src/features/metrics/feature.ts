import type { Feature } from '../feature.ts';
import { metricsRoutes } from './routes.ts';

/** The metrics of all workers on the public port, if the settings enable it. The management port always serves them. */
export const metrics = {
  name: 'metrics',
  rootRoutes: ({ settings: { security }, fleetMetrics }) =>
    security.enablePrometheus ? metricsRoutes({ collect: fleetMetrics }) : [],
} satisfies Feature;
