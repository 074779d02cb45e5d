import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type AlertRuleName,
  type AlertThresholds,
  alertRuleNames,
  createAlertRules,
} from '../../src/alerts/rules.ts';
import { events } from '../../src/declarations.ts';
import { createCircuitMetrics } from '../../src/observability/circuit-set.ts';
import { countEvents } from '../../src/observability/metrics/event-metrics.ts';
import { createMetrics, type Metrics } from '../../src/observability/metrics/metrics.ts';

const thresholds: AlertThresholds = {
  rateLimitViolations: 100,
  authFailures: 50,
  errorPercent: 5,
  circuitOpenSeconds: 60,
  workerCrashes: 3,
  failedJobs: 1,
  databaseAwaySeconds: 30,
};
const rules = createAlertRules({ thresholds, hasDatabase: true, deliveryTask: 'deliver_alert' });
const windowMs = 300_000;

/** Measures one rule of a node over a real registry. */
function measure(name: AlertRuleName) {
  const rule = rules.find((each) => each.name === name);
  if (rule === undefined) throw new Error(`There is no rule ${name}.`);
  const metrics = createMetrics();
  const meter = rule.createMeter(windowMs, 0);
  return {
    rule,
    metrics,
    log: countEvents(metrics, events),
    valueAt(now: number, reachesDatabase = false) {
      const measured = meter(metrics.snapshot(), now, { reachesDatabase });
      return measured === undefined ? undefined : rule.valueOf(measured);
    },
  };
}

const counter = (metrics: Metrics, name: string, labels: readonly string[]) =>
  metrics.counter({ name, help: 'Counts.', labels });

describe('the alert rules', () => {
  it('there is one rule for each name, and without a database none that needs one', () => {
    assert.deepEqual(
      rules.map(({ name }) => name),
      [...alertRuleNames],
    );
    const without = createAlertRules({ thresholds, hasDatabase: false, deliveryTask: '' });
    assert.deepEqual(
      alertRuleNames.filter((name) => !without.some((rule) => rule.name === name)),
      ['jobs_failed', 'database_away'],
    );
  });

  it('rate_limit_exceeded counts the requests above a limit within the window', () => {
    const { rule, log, valueAt } = measure('rate_limit_exceeded');
    for (let index = 0; index < 120; index += 1) log('rate_limit.exceeded');
    assert.equal(valueAt(1_000), 120);
    assert.equal(valueAt(301_001), 0);
    assert.equal(rule.threshold, 100);
    assert.equal(rule.describe(120, 300), '120 requests exceeded a rate limit within 300 s');
  });

  it('auth_failures counts logins and credentials, and no token that this server has issued', () => {
    const { metrics, log, valueAt } = measure('auth_failures');
    const stale = counter(metrics, 'auth_stale_credentials_total', []).of();
    for (const event of ['auth.login.failed', 'auth.login.throttled'] as const) log(event);
    for (let index = 0; index < 5; index += 1) log('auth.credentials.refused');
    stale.add(4);
    assert.equal(valueAt(1_000), 3);
  });

  it('refresh_token_reused counts a token that was used twice', () => {
    const { rule, log, valueAt } = measure('refresh_token_reused');
    assert.equal(valueAt(1_000), 0);
    log('auth.refresh.reused');
    assert.equal(valueAt(2_000), rule.threshold);
  });

  it('server_errors is the percentage of 5xx responses, and 0 for fewer than ten', () => {
    const { metrics, valueAt } = measure('server_errors');
    const requests = counter(metrics, 'http_requests_total', ['method', 'route', 'status']);
    assert.equal(valueAt(500), 0);
    requests.of('GET', '/', '500').add(5);
    requests.of('GET', '/', '503').add(4);
    assert.equal(valueAt(1_000), 0);
    requests.of('POST', '/', '504').add();
    requests.of('GET', '/', '200').add(80);
    requests.of('GET', '/', '404').add(33);
    assert.equal(valueAt(2_000), 8.1);
    // 100 requests that load shedding has rejected are no errors.
    requests.of('GET', '/', '503').add(100);
    counter(metrics, 'load_rejections_total', ['caller', 'reason']).of('anonymous', 'load').add(100);
    assert.equal(valueAt(3_000), 4.5);
  });

  it('circuit_open counts circuits that have been open long enough, except that of the database', () => {
    const { metrics, valueAt } = measure('circuit_open');
    const { open } = createCircuitMetrics(metrics);
    open.of('database').set(1);
    open.of('outgoing').set(2);
    assert.equal(valueAt(0), 0);
    open.of('rate_limit').set(1);
    assert.equal(valueAt(59_000), 0);
    assert.equal(valueAt(60_000), 2);
    open.of('outgoing').set(0);
    assert.equal(valueAt(61_000), 0);
    assert.equal(valueAt(119_000), 1);
  });

  it('worker_crash_loop counts crashes of workers and of the jobs process, and no planned exit', () => {
    const { metrics, valueAt } = measure('worker_crash_loop');
    const workers = counter(metrics, 'worker_restarts_total', ['reason']);
    const jobs = counter(metrics, 'job_process_restarts_total', ['reason']);
    workers.of('crashed').add();
    workers.of('silent').add();
    workers.of('reloaded').add(8);
    jobs.of('failed').add();
    jobs.of('recycled').add(8);
    assert.equal(valueAt(1_000), 3);
  });

  it('jobs_failed counts permanent failures, and not those of the delivery of alerts', () => {
    const { metrics, valueAt } = measure('jobs_failed');
    const finished = counter(metrics, 'jobs_finished_total', ['task', 'outcome']);
    finished.of('send_email', 'failed').add(2);
    finished.of('send_email', 'retried').add(5);
    finished.of('deliver_alert', 'failed').add(3);
    assert.equal(valueAt(1_000), 2);
  });

  it('database_away is the time for which neither the evaluator nor any process has reached the database', () => {
    const { metrics, valueAt } = measure('database_away');
    const reachable = metrics.gauge({ name: 'database_reachable', help: 'x', perWorker: true }).of();
    reachable.set(1);
    assert.equal(valueAt(0), 0);
    reachable.set(0);
    assert.equal(valueAt(5_000, true), 0, 'the evaluator reaches it');
    assert.equal(valueAt(10_000), 0);
    assert.equal(valueAt(45_900), 35);
    reachable.set(1);
    assert.equal(valueAt(50_000), 0);
  });
});
