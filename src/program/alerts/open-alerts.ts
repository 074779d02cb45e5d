/**
 * Alerting, in the process that supervises a node (the primary, the single process) or runs jobs alone. The parts are in
 * `src/alerts/`; this file connects them to the settings, the database, the queue of jobs and the HTTP client.
 */

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type AlertEvaluator, createAlertEvaluator, type FiringAlert } from '../../alerts/alert-evaluator.ts';
import { createAlertMetrics } from '../../alerts/alert-metrics.ts';
import { createIncidentStore, type IncidentStore } from '../../alerts/incident-store.ts';
import { createOutbox, type Outbox } from '../../alerts/outbox.ts';
import { createAlertRules } from '../../alerts/rules.ts';
import { createWebhook } from '../../alerts/webhook.ts';
import { deliverAlert } from '../../features/alerts/alerts.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics, MetricsSnapshot } from '../../observability/metrics/metrics.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { connectFromSettings } from '../parts/connect-from-settings.ts';
import { openHttpClient } from '../parts/open-http-client.ts';
import { alertEveryMs } from './evaluation-interval.ts';
import { createJobDelivery } from './job-delivery.ts';

export interface AlertParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
  readonly databaseUrl: string | null;
  /** Resolves with the metrics of all processes of the node. */
  readonly collect: () => Promise<MetricsSnapshot>;
}

export interface Alerts {
  /** Returns the open incidents; undefined if the settings do not enable alerting. */
  firing(): readonly FiringAlert[] | undefined;
  /** Starts the evaluation if the settings enable it. Open it last, so that it stops first. */
  open(parts: AlertParts): Promise<void>;
}

const closeMs = 250;

/** Creates the part, which evaluates nothing before it is opened. */
export function createAlerts(settings: Settings): Alerts {
  let evaluator: AlertEvaluator | undefined;
  return {
    firing: () => (settings.security.enableAlerting ? (evaluator?.firing() ?? []) : undefined),
    async open(parts) {
      if (!settings.security.enableAlerting) return;
      const outbox = await openOutbox(parts);
      const store = await openStore(parts, outbox !== undefined);
      evaluator = await parts.lifecycle.open(
        'alerts',
        async () => startEvaluator(parts, store, outbox),
        async (started) => started.stop(),
        closeMs,
      );
    },
  };
}

function startEvaluator(
  { settings, log, metrics, databaseUrl, collect }: AlertParts,
  store: IncidentStore | undefined,
  outbox: Outbox | undefined,
): AlertEvaluator {
  const { application, security } = settings;
  const evaluator = createAlertEvaluator({
    rules: createAlertRules({
      thresholds: {
        rateLimitViolations: security.alertRateLimitThreshold,
        authFailures: security.alertAuthFailureThreshold,
        errorPercent: security.alertErrorRatePercent,
        circuitOpenSeconds: security.alertCircuitOpenSeconds,
        workerCrashes: security.alertWorkerCrashThreshold,
        failedJobs: security.alertFailedJobThreshold,
        databaseAwaySeconds: security.alertDatabaseAwaySeconds,
      },
      hasDatabase: databaseUrl !== null,
      deliveryTask: deliverAlert.name,
    }),
    windowMs: security.alertWindowSeconds * 1000,
    everyMs: alertEveryMs(settings),
    ...{ collect, store, outbox },
    source: {
      service: application.projectName,
      environment: application.environment,
      node: hostname(),
      windowSeconds: security.alertWindowSeconds,
      runbooks: security.alertRunbookUrl,
    },
    log: log.named('alerts'),
    metrics: createAlertMetrics(metrics),
  });
  evaluator.start();
  return evaluator;
}

/** Opens the direct way to the webhook; undefined without a webhook. */
async function openOutbox({ settings, log, lifecycle }: AlertParts): Promise<Outbox | undefined> {
  const { alertWebhookUrl: url, alertWebhookSecret: secret } = settings.security;
  if (url === '') return undefined;
  return lifecycle.open(
    'alert messages',
    async () => {
      const httpClient = openHttpClient({ settings, log });
      const outbox = createOutbox({
        webhook: createWebhook({ url, secret, httpClient }),
        log: log.named('alerts'),
      });
      return { ...outbox, httpClient };
    },
    async ({ stop, httpClient }) => {
      await stop();
      httpClient.close();
    },
    closeMs,
  );
}

/** Opens the incidents of all nodes; undefined without a database. */
async function openStore(
  { settings, log, lifecycle, databaseUrl }: AlertParts,
  hasWebhook: boolean,
): Promise<IncidentStore | undefined> {
  if (databaseUrl === null) return undefined;
  const database = await lifecycle.open(
    'alert database',
    async () =>
      connectFromSettings(settings, {
        url: databaseUrl,
        part: 'alerts',
        poolSize: 1,
        log: log.named('alerts'),
      }),
    (opened) => opened.close(closeMs / 2000),
    closeMs,
  );
  return createIncidentStore({
    database,
    node: randomUUID(),
    countsMs: 3 * alertEveryMs(settings) + 2_000,
    delivery: hasWebhook ? createJobDelivery() : undefined,
  });
}
