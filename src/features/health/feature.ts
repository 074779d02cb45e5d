import type { Feature } from '../feature.ts';
import { createHealth } from './health.ts';
import { healthRoutes } from './routes.ts';

const events = ['readiness.failed'] as const;

declare module '../../observability/events.ts' {
  interface EventRegistry extends Record<(typeof events)[number], true> {}
}

/** The probes of the platform on the public port. */
export const health = {
  name: 'health',
  tags: [{ name: 'health', description: 'Probes for the platform; exempt from the rate limit.' }],
  events,

  routes({ settings: { application }, healthChecks, log }) {
    return healthRoutes({
      health: createHealth({
        environment: application.environment,
        version: application.projectVersion,
        checks: healthChecks,
        log: log.named('health'),
      }),
    });
  },
} satisfies Feature;
