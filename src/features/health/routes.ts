import { ok, reply } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import type { Health } from './health.ts';
import { liveness, readiness, startup } from './schema.ts';

/** The probes of Kubernetes and of balancers. Nobody signs in for them, and no rate limit counts them. */
export function healthRoutes({ health }: { readonly health: Health }): Route[] {
  const probe = { method: 'GET', tags: ['health'], auth: 'none', limit: 'exempt' } as const;
  return [
    route({
      ...probe,
      path: '/health/live',
      operationId: 'getLiveness',
      summary: 'Is the process alive?',
      description:
        'Answers at once and asks nothing else. A process that does not answer should be restarted.',
      responses: { 200: { description: 'It is.', schema: liveness } },
      handler: () => health.live(),
    }),
    route({
      ...probe,
      path: '/health/ready',
      operationId: 'getReadiness',
      summary: 'Should this server get traffic?',
      description: 'Runs every check, each with a deadline of its own. 503 when one that is required fails.',
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
      description: 'Passes from the first moment the server was ready, whatever happens later.',
      responses: {
        200: { description: 'It has; from now on liveness and readiness count.', schema: startup },
        503: { description: 'Not yet.', schema: startup },
      },
      async handler() {
        const report = await health.started();
        return report.status === 'pass' ? ok(report) : reply(503, report);
      },
    }),
  ];
}
