import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { createAlertEvaluator } from '../../src/alerts/alert-evaluator.ts';
import type { AlertMessage } from '../../src/alerts/alert-message.ts';
import { createAlertMetrics } from '../../src/alerts/alert-metrics.ts';
import { createIncidentStore, type JobDelivery } from '../../src/alerts/incident-store.ts';
import { createOutbox } from '../../src/alerts/outbox.ts';
import { type AlertThresholds, createAlertRules } from '../../src/alerts/rules.ts';
import { events } from '../../src/declarations.ts';
import { countEvents } from '../../src/observability/metrics/event-metrics.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { createJobDelivery } from '../../src/program/alerts/job-delivery.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { metricValue } from '../helpers/metric-value.ts';
import { mustOpenProxy } from '../helpers/postgres-proxy.ts';
import { mustConnect, mustCreateDatabase } from '../helpers/test-database.ts';

const thresholds: AlertThresholds = {
  rateLimitViolations: 10,
  authFailures: 50,
  errorPercent: 5,
  circuitOpenSeconds: 60,
  workerCrashes: 3,
  failedJobs: 1,
  databaseAwaySeconds: 3_600,
};

interface NodeOptions {
  /** The database, or null. */
  readonly url: string | null;
  readonly windowMs?: number;
  readonly delivery?: JobDelivery;
}

/** Starts the evaluator of one node. Its webhook accepts every message. */
function startNode(t: TestContext, { url, windowMs = 600, delivery }: NodeOptions) {
  const captured = captureLog();
  const metrics = createMetrics();
  const log = countEvents(metrics, events);
  const sent: AlertMessage[] = [];
  let evaluations = 0;
  const outbox = createOutbox({
    webhook: { send: async (message) => void sent.push(message) },
    log: captured.log,
  });
  const rules = createAlertRules({ thresholds, hasDatabase: url !== null, deliveryTask: 'deliver_alert' });
  const evaluator = createAlertEvaluator({
    ...{ rules, windowMs, everyMs: 20, outbox },
    collect: async () => {
      evaluations += 1;
      return metrics.snapshot();
    },
    store:
      url === null
        ? undefined
        : createIncidentStore({
            database: mustConnect(t, { url, poolSize: 1, connectTimeoutSeconds: 1 }),
            node: randomUUID(),
            countsMs: 5_000,
            delivery: delivery ?? createJobDelivery(),
          }),
    source: {
      service: 'Shop',
      environment: 'test',
      node: 'node',
      windowSeconds: windowMs / 1000,
      runbooks: 'docs/runbooks.md',
    },
    log: captured.log,
    metrics: createAlertMetrics(metrics),
  });
  evaluator.start();
  t.after(async () => {
    evaluator.stop();
    await outbox.stop();
  });
  const exceed = (count: number) => {
    for (let index = 0; index < count; index += 1) log('rate_limit.exceeded');
  };
  /** Resolves when an evaluation that started after this call has ended. */
  const evaluated = () => {
    const wanted = evaluations + 2;
    return eventually('an evaluation has ended', () => evaluations >= wanted);
  };
  const firing = () => evaluator.firing().map(({ rule }) => rule);
  return { captured, metrics, sent, evaluated, exceed, firing, evaluator };
}

const idsOf = (messages: readonly AlertMessage[]) =>
  messages.map(({ event, incident }) => `${event} ${incident}`);

describe('the evaluator of a node', () => {
  it('without a database, an incident is raised, shown, resolved and sent by the node itself', async (t) => {
    const node = startNode(t, { url: null });
    await node.evaluated();
    node.exceed(9);
    await node.evaluated();
    assert.deepEqual(node.firing(), []);
    node.exceed(1);
    await eventually('it is firing', () => node.sent.length === 1);
    const [alert] = node.evaluator.firing();
    assert.ok(alert !== undefined && Math.abs(alert.since.getTime() - Date.now()) < 5_000);
    assert.deepEqual([alert.value, alert.threshold, alert.severity], [10, 10, 'ticket']);
    assert.equal(metricValue(node.metrics.snapshot(), 'alerts_firing', { rule: alert.rule }).sum, 1);
    await eventually('it is resolved', () => node.sent.length === 2);
    const [raised, resolved] = node.sent;
    assert.equal(raised?.incident, resolved?.incident);
    assert.deepEqual([raised?.event, resolved?.event], ['alert.raised', 'alert.resolved']);
    assert.equal(metricValue(node.metrics.snapshot(), 'alerts_raised_total').sum, 1);
    assert.equal(metricValue(node.metrics.snapshot(), 'alerts_firing').sum, 0);
    const [line] = node.captured.of('alert.raised');
    assert.deepEqual(
      [line?.level, line?.rule, line?.value, line?.window_seconds],
      ['warning', 'rate_limit_exceeded', 10, 0.6],
    );
    assert.ok(Date.parse(resolved?.resolved_at ?? '') - Date.parse(raised?.raised_at ?? '') >= 600);
  });

  it('four nodes with one database report an incident once, whichever of them finds it, and its resolution too', async (t) => {
    const url = await mustCreateDatabase(t);
    const nodes = Array.from({ length: 4 }, () => startNode(t, { url }));
    const count = (event: string) => nodes.reduce((sum, { captured }) => sum + captured.of(event).length, 0);
    // No node reaches the threshold alone.
    for (const node of nodes) node.exceed(3);
    await eventually('all nodes show it', () => nodes.every(({ firing }) => firing().length === 1));
    await eventually('no node shows it', () => nodes.every(({ firing }) => firing().length === 0));
    assert.deepEqual([count('alert.raised'), count('alert.resolved')], [1, 1]);
    const { sql } = mustConnect(t, { url });
    const jobs = await sql<{ payload: AlertMessage }[]>`select payload from jobs order by id`;
    const incident = jobs[0]?.payload.incident;
    assert.deepEqual(idsOf(jobs.map(({ payload }) => payload)), [
      `alert.raised ${incident}`,
      `alert.resolved ${incident}`,
    ]);
    assert.deepEqual([...(await sql`select * from alert_incidents`)], []);
    assert.deepEqual(
      nodes.flatMap(({ sent }) => sent),
      [],
      'jobs deliver them',
    );
  });

  it('an incident that a node raises while the database is away becomes that of all nodes when it is back', async (t) => {
    const url = await mustCreateDatabase(t);
    const proxy = await mustOpenProxy(t, url);
    const cutOff = startNode(t, { url: proxy.url, windowMs: 1_000 });
    const { sql } = mustConnect(t, { url });
    await eventually(
      'it has stored its counts',
      async () => (await sql`select from alert_counts`).length === 1,
    );
    proxy.block();
    proxy.reset();
    await eventually('it sends the alert itself', () => {
      cutOff.exceed(10);
      return cutOff.sent.length === 1;
    });
    assert.deepEqual([...(await sql`select * from alert_incidents`)], []);
    proxy.unblock();
    proxy.reset();
    const [raised] = cutOff.sent;
    await eventually('it is stored', async () => {
      // The incident must not be over before the node reaches the database again.
      cutOff.exceed(10);
      const [row] = await sql`select id from alert_incidents`;
      return row?.id === raised?.incident;
    });
    await eventually('the resolution is a job', async () => {
      const rows = await sql<{ payload: AlertMessage }[]>`select payload from jobs`;
      return idsOf(rows.map(({ payload }) => payload)).join() === `alert.resolved ${raised?.incident}`;
    });
    assert.equal(cutOff.captured.of('alert.raised').length, 1);
    assert.equal(cutOff.captured.of('alert.store_failed').length, 1);
    assert.equal(cutOff.captured.of('alert.store_restored').length, 1);
  });

  it('an incident of all nodes stays open while the database is away', async (t) => {
    const url = await mustCreateDatabase(t);
    const proxy = await mustOpenProxy(t, url);
    const node = startNode(t, { url: proxy.url, windowMs: 100 });
    const other = startNode(t, { url, windowMs: 100 });
    other.exceed(10);
    await eventually('it is firing', () => node.firing().length === 1);
    proxy.block();
    proxy.reset();
    await eventually('the other node resolves it', () => other.captured.of('alert.resolved').length === 1);
    await eventually('the node is alone', () => node.captured.of('alert.store_failed').length === 1);
    node.exceed(10);
    await node.evaluated();
    assert.deepEqual(node.firing(), ['rate_limit_exceeded']);
    assert.deepEqual(node.sent, [], 'the incident is known to all nodes');
    await other.evaluated();
    proxy.unblock();
    proxy.reset();
    await eventually('the node sees the resolution', () => node.firing().length === 0);
    assert.equal(node.captured.of('alert.resolved').length, 0);
  });

  it('a message whose job no runner claims is sent directly, and its job is cancelled', async (t) => {
    const url = await mustCreateDatabase(t);
    const node = startNode(t, { url, delivery: createJobDelivery(50), windowMs: 60_000 });
    node.exceed(10);
    await eventually('it is sent', () => node.sent.length === 1);
    const { sql } = mustConnect(t, { url });
    assert.deepEqual(
      [...(await sql`select name, state from jobs`)],
      [{ name: 'deliver_alert', state: 'cancelled' }],
    );
  });
});
