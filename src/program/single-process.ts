import { createFleetMetrics } from '../cluster/fleet-metrics.ts';
import { createJobProcess, type JobProcess } from '../cluster/job-process.ts';
import { createSingleFleet } from '../cluster/single-fleet.ts';
import { jobsEntry } from '../entries.ts';
import { connectionLimits, readFileLimit } from './connection-limits.ts';
import { createDashboard } from './jobs-dashboard.ts';
import { createLifecycle } from './lifecycle.ts';
import { openManagementPort } from './management-port.ts';
import { openDatabaseServer } from './open-database.ts';
import type { RunningRole, ServerRoleContext } from './server-role.ts';
import { startServer } from './start-server.ts';
import { hasJobsProcess, supervisionTerms } from './supervision-options.ts';

/**
 * Serves in this process: a fleet of one, with the management port on the same event loop. Jobs run in a process of
 * their own, which starts when requests are answered already. Both drain at the same time; the database ends last.
 */
export async function runSingleProcess(parts: ServerRoleContext): Promise<RunningRole> {
  const { options, settings, log, metrics } = parts;
  const lifecycle = createLifecycle(log);
  const terms = supervisionTerms(settings);
  const processes = () => jobs?.processes ?? [];
  const fleetMetrics = createFleetMetrics(metrics, processes);
  const jobs: JobProcess | undefined = hasJobsProcess(settings)
    ? createJobProcess({
        terms,
        spawn: () => parts.startChild(jobsEntry),
        log: log.named('supervisor'),
        metrics,
        fleetMetrics,
      })
    : undefined;
  const { fleet, serve, drain } = createSingleFleet({
    kind: 'requests',
    metrics: fleetMetrics,
    beside: processes,
  });
  const stopMs = settings.server.shutdownGraceSeconds * 1000 + 40_000;
  const unsupported = (advice: string) => () => log.warning('config.warning', { advice });
  // Whatever ends this process, it leaves no other behind that it could still end.
  process.on('exit', () => jobs?.kill());
  try {
    const dashboard = createDashboard(settings, log);
    const managementUrl = await openManagementPort(
      { ...settings.server, maxConnections: connectionLimits(settings, readFileLimit()).maxManagement },
      fleet,
      log,
      lifecycle,
      dashboard.source,
    );
    const databaseUrl = await openDatabaseServer(settings, log, lifecycle);
    await dashboard.open(databaseUrl, lifecycle);
    await lifecycle.open(
      'jobs',
      async () => jobs,
      async () => jobs?.stop(),
      terms.stopTimeoutMs + 1_000,
    );
    const server = await lifecycle.open(
      'application',
      () =>
        startServer({
          ...options,
          settings,
          log,
          metrics,
          reportShortage: parts.reportShortage,
          databaseUrl,
          fleetMetrics: fleetMetrics.collect,
        }),
      (opened) => opened.stop(),
      stopMs,
    );
    serve(server);
    if (databaseUrl !== null) await jobs?.start(databaseUrl);
    return {
      url: server.url,
      managementUrl,
      reload: unsupported('SIGHUP does nothing with one process: set APP_WORKERS to 2 or more, or restart.'),
      resize: unsupported('SIGTTIN and SIGTTOU do nothing with one process: set APP_WORKERS to 2 or more.'),
      async stop() {
        drain();
        await Promise.all([jobs?.stop(), lifecycle.closeAll(terms.stopTimeoutMs)]);
      },
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}
