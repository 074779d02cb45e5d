import { ok, reply } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import type { Health } from './health.ts';
import { liveness, readiness, startup } from './schema.ts';

/** Probes for Kubernetes and load balancers. They need no credentials and are exempt from the rate limit. */
export function healthRoutes({ health }: { readonly health: Health }): Route[] {
  const probe = { method: 'GET', tags: ['health'], auth: 'none', limit: 'exempt' } as const;
  return [
    route({
      ...probe,
      path: '/health/live',
      operationId: 'getLiveness',
      summary: 'Is the process alive?',
      description: 'Answers immediately, without checks. Restart a process that does not answer.',
      responses: { 200: { description: 'The process is alive.', schema: liveness } },
      handler: () => health.live(),
    }),
    route({
      ...probe,
      path: '/health/ready',
      operationId: 'getReadiness',
      summary: 'Should this server get traffic?',
      description: 'Runs all checks, each with its own deadline. 503 if a required check fails.',
      responses: {
        200: { description: 'Every required check passes.', schema: readiness },
        503: { description: 'A required check fails; send traffic elsewhere.', schema: readiness },
      },
      async handler() {
        const report = await health.ready();
        return report.status === 'pass' ? ok(report) : reply(503, report);
      },
    }),
    route({
      ...probe,
      path: '/health/startup',
      operationId: 'getStartup',
      summary: 'Has this server started?',
      description: 'Passes once the server has been ready, whatever happens later.',
      responses: {
        200: {
          description: 'The server has started; from now on use liveness and readiness.',
          schema: startup,
        },
        503: { description: 'The server has not been ready yet.', schema: startup },
      },
      async handler() {
        const report = await health.started();
        return report.status === 'pass' ? ok(report) : reply(503, report);
      },
    }),
  ];
}
