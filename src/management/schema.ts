import * as z from 'zod';

/** Confirms that the supervising process answers, and nothing else. */
export const livenessProbe = z.object({ status: z.literal('pass') });

/** Whether traffic should be sent here. */
export const readinessProbe = z.object({ status: z.enum(['pass', 'fail']), detail: z.string() });

/** The processes that answer requests or run jobs: see ProcessReport in `cluster/fleet.ts`. */
export const workerList = z.array(
  z.object({
    id: z.int(),
    kind: z.string(),
    pid: z.int(),
    state: z.string(),
    age_seconds: z.number(),
    requests: z.int(),
    in_flight: z.int(),
    rss_bytes: z.int(),
    heap_bytes: z.int(),
    event_loop_lag_ms: z.number(),
    utilisation: z.number(),
    silent_seconds: z.number(),
  }),
);

/** The open incidents of the program's own alert rules: see FiringAlert in `alerts/alert-evaluator.ts`. */
export const alertList = z.object({
  enabled: z.boolean(),
  firing: z.array(
    z.object({
      rule: z.string(),
      severity: z.string(),
      summary: z.string(),
      since: z.iso.datetime(),
      value: z.number(),
      threshold: z.number(),
      runbook: z.string(),
    }),
  ),
});
