import type { FiringAlert } from '../alerts/alert-evaluator.ts';
import type { Fleet, ProcessReport } from '../cluster/fleet.ts';
import type { Context } from '../http/context.ts';
import { ok, raw, reply } from '../http/reply.ts';
import { type Route, route } from '../http/route.ts';
import { prometheusContentType, renderPrometheus } from '../observability/metrics/prometheus.ts';
import { alertList, livenessProbe, readinessProbe, workerList } from './schema.ts';

export interface ManagementRoutesOptions {
  readonly fleet: Fleet;
  /** Throws an AppError for a request without the token. */
  readonly guard: (ctx: Context) => void;
  /** Returns the firing alerts; undefined if alerting is off. */
  readonly alerts: () => readonly FiringAlert[] | undefined;
}

/**
 * Returns the routes of the management port. A probe can send no token, and its platform chooses the host that it names, so
 * probes require neither, and reveal little.
 */
export function managementRoutes({ fleet, guard, alerts }: ManagementRoutesOptions): Route[] {
  const all = { method: 'GET', tags: ['management'] } as const;
  const probe = { ...all, auth: 'none', limit: 'exempt' } as const;
  // `own`, since the token is no credential of an account.
  const guarded = { ...all, auth: 'own', problems: ['unauthenticated', 'rate_limited'] } as const;
  return [
    route({
      ...probe,
      path: '/livez',
      operationId: 'getLivez',
      summary: 'Whether the supervising process answers',
      responses: { 200: { description: 'It answers.', schema: livenessProbe } },
      handler: () => ({ status: 'pass' as const }),
    }),
    route({
      ...probe,
      path: '/readyz',
      operationId: 'getReadyz',
      summary: 'Whether requests can be answered now',
      responses: {
        200: { description: 'Requests can be answered.', schema: readinessProbe },
        503: { description: 'Requests cannot be answered; `detail` has the reason.', schema: readinessProbe },
      },
      async handler() {
        const { ready, detail } = await fleet.readiness();
        return ready
          ? ok({ status: 'pass' as const, detail })
          : reply(503, { status: 'fail' as const, detail });
      },
    }),
    route({
      ...guarded,
      path: '/metrics',
      operationId: 'getMetrics',
      summary: 'The metrics of all processes together',
      responses: {
        200: { description: 'In the text format of Prometheus.', contentType: prometheusContentType },
      },
      async handler({ ctx }) {
        guard(ctx);
        return raw(renderPrometheus(await fleet.collectMetrics()), prometheusContentType);
      },
    }),
    route({
      ...guarded,
      path: '/workers',
      operationId: 'getWorkers',
      summary: 'The processes that answer requests, the oldest first, then those that run jobs',
      responses: { 200: { description: 'One report for each.', schema: workerList } },
      handler({ ctx }) {
        guard(ctx);
        return ok(fleet.reports().map(describe));
      },
    }),
    route({
      ...guarded,
      path: '/alerts',
      operationId: 'getAlerts',
      summary: 'The firing alerts of the program, if it evaluates them',
      responses: {
        200: { description: 'Whether alerting is on, and the open incidents.', schema: alertList },
      },
      handler({ ctx }) {
        guard(ctx);
        const firing = alerts();
        return ok({
          enabled: firing !== undefined,
          firing: (firing ?? []).map((each) => ({ ...each, since: each.since.toISOString() })),
        });
      },
    }),
  ];
}

function describe(report: ProcessReport) {
  return {
    id: report.id,
    kind: report.kind,
    pid: report.pid,
    state: report.state,
    age_seconds: rounded(report.ageSeconds),
    requests: report.requests,
    in_flight: report.inFlight,
    rss_bytes: report.rssBytes,
    heap_bytes: report.heapBytes,
    event_loop_lag_ms: rounded(report.eventLoopLagMs),
    utilisation: rounded(report.utilisation),
    silent_seconds: rounded(report.secondsSinceHeartbeat),
  };
}

/** Rounds to three decimal places. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
