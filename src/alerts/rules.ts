/**
 * The alert rules: which metric each of them reads, when its threshold is reached, and where its runbook is. The rules of
 * `deploy/prometheus/rules.yml` cover the same incidents, and a test compares both with `docs/runbooks.md`.
 *
 *     metrics of all processes ──meter──> what this node measured ──sum over the nodes──> value ──> incident.ts
 *
 * A rule reads what the program counts anyway, so alerting adds no work to a request.
 */

import { circuitKinds as allCircuitKinds } from '../observability/circuit-set.ts';
import type { EventName } from '../observability/events.ts';
import type { MetricsSnapshot } from '../observability/metrics/metrics.ts';
import { WindowCount } from './window-count.ts';

export const alertRuleNames = [
  'rate_limit_exceeded',
  'auth_failures',
  'refresh_token_reused',
  'server_errors',
  'circuit_open',
  'worker_crash_loop',
  'jobs_failed',
  'database_away',
] as const;
export type AlertRuleName = (typeof alertRuleNames)[number];

/** `page` requires a reaction now, `ticket` today. */
export type AlertSeverity = 'page' | 'ticket';

/** The numbers that one node contributes. They are summed over the nodes. */
export interface Measured {
  readonly count: number;
  /** Of how many; 0 for a rule that is no ratio. */
  readonly of: number;
}

/** The facts that a meter reads in addition to the metrics. */
export interface Surroundings {
  /** Whether the evaluator itself has just reached the database. */
  readonly reachesDatabase: boolean;
}

/** Returns what this node measures now; undefined if nothing can be measured. */
export type Meter = (snapshot: MetricsSnapshot, now: number, around: Surroundings) => Measured | undefined;

export interface AlertRule {
  readonly name: AlertRuleName;
  readonly severity: AlertSeverity;
  /** The section of `docs/runbooks.md`, which is also the name of the rule for Prometheus. */
  readonly runbook: string;
  /** `service`: the sum of all nodes is one incident. `node`: each node has its own. */
  readonly scope: 'service' | 'node';
  readonly threshold: number;
  createMeter(windowMs: number, startedAt: number): Meter;
  /** Returns the value that is compared with the threshold. */
  valueOf(sum: Measured): number;
  /** Returns a sentence without its final full stop. */
  describe(value: number, windowSeconds: number): string;
}

export interface AlertThresholds {
  readonly rateLimitViolations: number;
  readonly authFailures: number;
  /** 5xx responses as a percentage of all. */
  readonly errorPercent: number;
  /** How long a circuit must have been open. */
  readonly circuitOpenSeconds: number;
  readonly workerCrashes: number;
  readonly failedJobs: number;
  readonly databaseAwaySeconds: number;
}

export interface AlertRulesOptions {
  readonly thresholds: AlertThresholds;
  /** Whether there is a database. */
  readonly hasDatabase: boolean;
  /** The task that delivers alerts. Its own failures raise no alert, which could not be delivered either. */
  readonly deliveryTask: string;
}

/** The circuit of the database is missing, because `database_away` reports that outage. */
const circuitKinds = allCircuitKinds.filter((kind) => kind !== 'database');

/** Fewer 5xx responses are no incident, whatever their percentage: at night, one error can be half of all responses. */
const minErrors = 10;

/** Why a process was replaced without a request to do so. The names are those of `cluster/process-state.ts`. */
const crashes = new Set(['crashed', 'failed', 'late', 'silent']);

export function createAlertRules({
  thresholds,
  hasDatabase,
  deliveryTask,
}: AlertRulesOptions): readonly AlertRule[] {
  const rules: readonly AlertRule[] = [
    {
      ...counted(['rate_limit.exceeded']),
      name: 'rate_limit_exceeded',
      severity: 'ticket',
      runbook: 'StrataRateLimited',
      threshold: thresholds.rateLimitViolations,
      describe: (value, seconds) => `${value} requests exceeded a rate limit within ${seconds} s`,
    },
    {
      ...counted(['auth.login.failed', 'auth.login.throttled', 'auth.credentials.refused'], (snapshot) =>
        sumOf(snapshot, 'auth_stale_credentials_total'),
      ),
      name: 'auth_failures',
      severity: 'ticket',
      runbook: 'StrataAuthFailures',
      threshold: thresholds.authFailures,
      describe: (value, seconds) => `${value} logins or credentials were rejected within ${seconds} s`,
    },
    {
      ...counted(['auth.refresh.reused']),
      name: 'refresh_token_reused',
      severity: 'ticket',
      runbook: 'StrataStolenRefreshToken',
      threshold: 1,
      describe: (value, seconds) =>
        `${value === 1 ? 'A refresh token was' : `${value} refresh tokens were`} used twice within ${seconds} s, which indicates theft`,
    },
    {
      name: 'server_errors',
      severity: 'page',
      runbook: 'StrataHighErrorRate',
      scope: 'service',
      threshold: thresholds.errorPercent,
      createMeter(windowMs, startedAt) {
        const errors = new WindowCount(windowMs, startedAt);
        const all = new WindowCount(windowMs, startedAt);
        return (snapshot, now) => ({
          // Load shedding does what it is for, and has an alert of its own in deploy/.
          count: errors.add(
            now,
            sumOf(snapshot, 'http_requests_total', (label) => label('status').startsWith('5')) -
              sumOf(snapshot, 'load_rejections_total'),
          ),
          of: all.add(now, sumOf(snapshot, 'http_requests_total')),
        });
      },
      valueOf: ({ count, of }) => (count < minErrors ? 0 : Math.round((1000 * count) / of) / 10),
      describe: (value, seconds) =>
        `${value} % of the responses were server errors (5xx) within ${seconds} s`,
    },
    {
      name: 'circuit_open',
      severity: 'ticket',
      runbook: 'StrataCircuitOpen',
      scope: 'service',
      threshold: 1,
      createMeter() {
        const openSince = new Map<string, number>();
        return (snapshot, now) => {
          let count = 0;
          for (const kind of circuitKinds) {
            const open = sumOf(snapshot, 'circuits_open', (label) => label('kind') === kind);
            const since = openSince.get(kind) ?? now;
            if (open === 0) openSince.delete(kind);
            else openSince.set(kind, since);
            if (now - since >= 1000 * thresholds.circuitOpenSeconds) count += open;
          }
          return { count, of: 0 };
        };
      },
      valueOf: ({ count }) => count,
      describe: (value) =>
        `${value === 1 ? 'A circuit has' : `${value} circuits have`} been open for ${thresholds.circuitOpenSeconds} s or more`,
    },
    {
      ...increase((snapshot) =>
        ['worker_restarts_total', 'job_process_restarts_total'].reduce(
          (sum, metric) => sum + sumOf(snapshot, metric, (label) => crashes.has(label('reason'))),
          0,
        ),
      ),
      name: 'worker_crash_loop',
      severity: 'page',
      runbook: 'StrataWorkersRestart',
      threshold: thresholds.workerCrashes,
      describe: (value, seconds) => `Processes crashed ${value} times within ${seconds} s`,
    },
  ];
  if (!hasDatabase) return rules;
  return [
    ...rules,
    {
      ...increase((snapshot) =>
        sumOf(
          snapshot,
          'jobs_finished_total',
          (label) => label('outcome') === 'failed' && label('task') !== deliveryTask,
        ),
      ),
      name: 'jobs_failed',
      severity: 'ticket',
      runbook: 'StrataJobsFail',
      threshold: thresholds.failedJobs,
      describe: (value, seconds) =>
        `${value === 1 ? 'A job has' : `${value} jobs have`} failed permanently within ${seconds} s`,
    },
    {
      name: 'database_away',
      severity: 'page',
      runbook: 'StrataDatabaseAway',
      scope: 'node',
      threshold: thresholds.databaseAwaySeconds,
      createMeter() {
        let awaySince: number | undefined;
        return (snapshot, now, { reachesDatabase }) => {
          const isReached = reachesDatabase || sumOf(snapshot, 'database_reachable') > 0;
          awaySince = isReached ? undefined : (awaySince ?? now);
          return { count: awaySince === undefined ? 0 : Math.floor((now - awaySince) / 1000), of: 0 };
        };
      },
      valueOf: ({ count }) => count,
      describe: (value) => `No process of the node has reached the database for ${value} s`,
    },
  ];
}

type Counted = Pick<AlertRule, 'scope' | 'createMeter' | 'valueOf'>;

/** The increase of a counter of the metrics within the window. */
function increase(counter: (snapshot: MetricsSnapshot) => number): Counted {
  return {
    scope: 'service',
    createMeter(windowMs, startedAt) {
      const count = new WindowCount(windowMs, startedAt);
      return (snapshot, now) => ({ count: count.add(now, counter(snapshot)), of: 0 });
    },
    valueOf: ({ count }) => count,
  };
}

/** The number of events within the window; `except` returns how many of them are expected. */
function counted(
  events: readonly EventName[],
  except: (snapshot: MetricsSnapshot) => number = () => 0,
): Counted {
  return increase((snapshot) => Math.max(0, eventsIn(snapshot, events) - except(snapshot)));
}

function eventsIn(snapshot: MetricsSnapshot, events: readonly string[]): number {
  return sumOf(snapshot, 'log_events_total', (label) => events.includes(label('event')));
}

/** Returns the sum over the series of a metric whose labels match; 0 without such a series. */
function sumOf(
  snapshot: MetricsSnapshot,
  name: string,
  matches: (label: (name: string) => string) => boolean = () => true,
): number {
  const family = snapshot.find((each) => each.name === name);
  if (family === undefined) return 0;
  let sum = 0;
  for (const { values, numbers } of family.series) {
    if (matches((label) => values[family.labels.indexOf(label)] ?? '')) sum += numbers[0] ?? 0;
  }
  return sum;
}
