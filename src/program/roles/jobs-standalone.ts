import { createSingleFleet } from '../../cluster/single-fleet.ts';
import { StartError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { createAlerts } from '../alerts/open-alerts.ts';
import { assertWebhookUsable } from '../alerts/webhook-check.ts';
import { databaseRow, managementRows, printBanner, recordAdvice } from '../banner.ts';
import { createLifecycle } from '../lifecycle.ts';
import { connectionLimits, readFileLimit } from '../parts/connection-limits.ts';
import { findDatabaseProblem, openProbe } from '../parts/database-check.ts';
import { createJobsDashboard } from '../parts/jobs-dashboard.ts';
import { openManagementPort } from '../parts/management-port.ts';
import { openDatabaseServer } from '../parts/open-database.ts';
import type { ProcessContext } from '../process.ts';
import { type RunningJobs, startJobs } from '../start-jobs.ts';
import { stopLimits } from '../stop-limits.ts';

/**
 * Runs jobs until a signal stops it, with a management port of its own. If a server runs the embedded database, that one is
 * used, so that both can run on one machine. Resolves with the exit code.
 */
export async function runJobsStandalone({
  settings,
  origins,
  warnings,
  log: processLog,
  flushTerminal,
  metrics,
  handleSignals,
}: ProcessContext): Promise<number> {
  const advices: string[] = [];
  const log = recordAdvice(processLog, advices);
  for (const advice of warnings) log.warning('config.warning', { advice });
  const signals = handleSignals();
  signals.onReload(() =>
    log.warning('config.warning', { advice: 'SIGHUP does nothing here: restart `npm run worker`.' }),
  );
  const lifecycle = createLifecycle(log);
  const graceMs = settings.server.shutdownGraceSeconds * 1000;
  let jobs: RunningJobs | undefined;
  const { fleet, becomeReady, drain } = createSingleFleet({
    kind: 'jobs',
    metrics: { collect: async () => metrics.snapshot() },
  });
  const readiness = async () =>
    jobs?.isReady() === true
      ? { ready: true, detail: 'This process runs jobs.' }
      : {
          ready: false,
          detail: 'This process claims no jobs: it is starting or stopping, or waits for the database.',
        };
  try {
    const dashboard = createJobsDashboard(settings, log);
    const alerts = createAlerts(settings);
    const managementUrl = await openManagementPort(
      { ...settings.server, maxConnections: connectionLimits(settings, readFileLimit()).maxManagement },
      { ...fleet, readiness },
      log,
      lifecycle,
      { jobs: dashboard.source, alerts: alerts.firing },
    );
    await assertWebhookUsable(settings);
    const databaseUrl = await openDatabaseServer(settings, log, lifecycle, { shares: true });
    if (databaseUrl === null) {
      throw new StartError('Jobs need a database: set APP_DATABASE_URL to a value other than none.');
    }
    await assertDatabaseUsable(databaseUrl, log);
    await dashboard.open(databaseUrl, lifecycle);
    jobs = await lifecycle.open(
      'jobs',
      () => startJobs({ settings, databaseUrl, log, metrics }),
      (started) => started.stop(graceMs),
      graceMs + stopLimits.child,
    );
    becomeReady(jobs);
    await alerts.open({
      ...{ settings, log, metrics, lifecycle, databaseUrl },
      collect: async () => metrics.snapshot(),
    });
    await flushTerminal();
    printBanner(
      settings,
      [
        { label: 'Runs', text: 'background jobs' },
        ...managementRows(managementUrl, settings),
        databaseRow(settings, origins, databaseUrl),
        { label: 'Stop', text: 'Ctrl+C' },
      ],
      advices,
    );
    await signals.stop;
    drain();
  } finally {
    await lifecycle.closeAll(graceMs + stopLimits.child);
  }
  return 0;
}

/** Rejects with a StartError instead of waiting: the user or the platform that starts the process should see the reason. */
async function assertDatabaseUsable(url: string, log: Logger): Promise<void> {
  const probe = openProbe(url, log.named('database'));
  const problem = await findDatabaseProblem(probe).finally(() => probe.close(1));
  if (problem !== undefined) throw new StartError(problem);
}
