import { createFleetMetrics } from '../../cluster/fleet-metrics.ts';
import { createJobsProcess, type JobsProcess } from '../../cluster/jobs-process.ts';
import { createSingleFleet } from '../../cluster/single-fleet.ts';
import { jobsEntry } from '../../entries.ts';
import { createAlerts } from '../alerts/open-alerts.ts';
import { assertWebhookUsable } from '../alerts/webhook-check.ts';
import { createLifecycle } from '../lifecycle.ts';
import { channelTo, createBans, openBans, openProcessBans } from '../parts/bans/open-bans.ts';
import { connectionLimits, readFileLimit } from '../parts/connection-limits.ts';
import { createJobsDashboard } from '../parts/jobs-dashboard.ts';
import { assertCanListen, publicTarget } from '../parts/listen-error.ts';
import { openManagementPort } from '../parts/management-port.ts';
import { type MigrationWatch, openMigrationWatch, withMigrations } from '../parts/migration-watch.ts';
import { openDatabaseServer } from '../parts/open-database.ts';
import { assertGeoipUsable } from '../parts/open-geoip.ts';
import { assertRedisUsable } from '../parts/open-redis.ts';
import { startServer } from '../start-server.ts';
import { openedBy, type RunningRole, type ServerRoleContext } from './server-role.ts';
import { hasJobsProcess, supervisionOptions } from './supervision-options.ts';

/**
 * Answers requests in this process: a fleet of one, with the management port on the same event loop. Jobs run in a process
 * of their own, which starts when the server is ready. Both drain at the same time; the database stops last.
 */
export async function runSingleProcess(context: ServerRoleContext): Promise<RunningRole> {
  const { options, settings, log, metrics } = context;
  const lifecycle = createLifecycle(log);
  const supervision = supervisionOptions(settings);
  const children = () => jobs?.processes ?? [];
  const fleetMetrics = createFleetMetrics(metrics, children);
  const jobs: JobsProcess | undefined =
    context.dev === undefined && hasJobsProcess(settings)
      ? createJobsProcess({
          supervision,
          spawn: () => context.startChild(jobsEntry),
          log: log.named('supervisor'),
          metrics,
          fleetMetrics,
        })
      : undefined;
  const { fleet, becomeReady, drain } = createSingleFleet({
    kind: 'requests',
    metrics: fleetMetrics,
    children,
  });
  const bans = createBans(settings, log, metrics);
  const stopMs = settings.server.shutdownGraceSeconds * 1000 + 40_000;
  const unsupported = (advice: string) => () => log.warning('config.warning', { advice });
  // The jobs process is killed also if an error causes the exit.
  process.on('exit', () => jobs?.kill());
  try {
    let migrations: MigrationWatch | undefined;
    const dashboard = createJobsDashboard(settings, log);
    const alerts = createAlerts(settings);
    const managementUrl = await openManagementPort(
      { ...settings.server, maxConnections: connectionLimits(settings, readFileLimit()).maxManagement },
      withMigrations(fleet, () => migrations),
      log,
      lifecycle,
      { jobs: dashboard.source, bans, alerts: alerts.firing },
    );
    await assertCanListen(publicTarget(settings));
    await assertGeoipUsable(settings);
    await assertRedisUsable(settings, log);
    await assertWebhookUsable(settings);
    const databaseUrl = await openDatabaseServer(settings, log, lifecycle, openedBy(context));
    migrations = await openMigrationWatch(settings, databaseUrl, { log, metrics, lifecycle });
    await dashboard.open(databaseUrl, lifecycle);
    await openBans(bans, { settings, log, metrics, lifecycle, databaseUrl });
    await lifecycle.open(
      'jobs',
      async () => jobs,
      async () => jobs?.stop(),
      supervision.stopTimeoutMs + 1_000,
    );
    const server = await lifecycle.open(
      'application',
      () =>
        startServer({
          ...options,
          settings,
          log,
          metrics,
          reportShortage: context.reportShortage,
          databaseUrl,
          bans: bans && openProcessBans(settings, channelTo(bans)),
          fleetMetrics: fleetMetrics.collect,
        }),
      (opened) => opened.stop(),
      stopMs,
    );
    becomeReady(server);
    if (databaseUrl !== null) await jobs?.start(databaseUrl);
    await alerts.open({ settings, log, metrics, lifecycle, databaseUrl, collect: fleetMetrics.collect });
    return {
      url: server.url,
      managementUrl,
      databaseUrl,
      reload: unsupported('SIGHUP does nothing with one process: set APP_WORKERS to 2 or more, or restart.'),
      resize: unsupported('SIGTTIN and SIGTTOU do nothing with one process: set APP_WORKERS to 2 or more.'),
      async stop() {
        drain();
        await Promise.all([jobs?.stop(), lifecycle.closeAll(supervision.stopTimeoutMs)]);
      },
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}
