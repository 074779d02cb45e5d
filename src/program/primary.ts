import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createLimitStore } from '../app.ts';
import { createPrimary, type Program } from '../cluster/primary.ts';
import { limitWaitingConnections } from '../cluster/waiting-connections.ts';
import { jobsEntry } from '../entries.ts';
import { createHostClock } from '../limits/host-clock.ts';
import { createPrimaryLimits } from '../limits/primary-limits.ts';
import { startRuntimeMetrics } from '../observability/metrics/runtime-metrics.ts';
import { reportRefusedConnections } from '../observability/refused-connections.ts';
import { connectionLimits, readFileLimit } from './connection-limits.ts';
import { createDashboard } from './jobs-dashboard.ts';
import { createLifecycle } from './lifecycle.ts';
import { openManagementPort } from './management-port.ts';
import { openDatabaseServer } from './open-database.ts';
import { keepProgram } from './program-copy.ts';
import { renewSettings } from './reload-settings.ts';
import type { RunningRole, ServerRoleContext } from './server-role.ts';
import { hasJobsProcess, supervisionTerms } from './supervision-options.ts';

/** Until the end of a process that was killed is known. */
const killedMs = 50;

/**
 * Opens the management port and the database, forks the workers and the process of the jobs, and decides on permits
 * for all workers.
 */
export async function runPrimary(parts: ServerRoleContext): Promise<RunningRole> {
  const { settings, source, log, metrics } = parts;
  const lifecycle = createLifecycle(log);
  const primaryLog = log.named('primary');
  const now = createHostClock();
  const terms = supervisionTerms(settings);
  let databaseUrl: string | null = null;
  const primary = createPrimary({
    terms,
    renewTerms: async () =>
      supervisionTerms(await renewSettings({ atStart: settings, source, databaseUrl, log: primaryLog })),
    log: primaryLog,
    limits: createPrimaryLimits({ store: createLimitStore(settings, log, now), now }),
    metrics,
    keepProgram: () => keepProgramOf(parts),
    hasJobs: hasJobsProcess(settings),
  });
  const connections = connectionLimits(settings, readFileLimit());
  const reportRefused = reportRefusedConnections(primaryLog, metrics);
  limitWaitingConnections({
    // Each worker takes a descriptor of the primary, and while it starts some more.
    max: Math.max(1, connections.max - 2 * settings.server.workers),
    onRefused: () => reportRefused('full', ''),
  });
  // Whatever ends this process, it leaves no other behind that it could still end.
  process.on('exit', primary.kill);
  startRuntimeMetrics({ metrics, version: settings.application.projectVersion });
  try {
    const dashboard = createDashboard(settings, log);
    const managementUrl = await openManagementPort(
      { ...settings.server, maxConnections: connections.maxManagement },
      primary.fleet,
      log,
      lifecycle,
      dashboard.source,
    );
    databaseUrl = await openDatabaseServer(settings, log, lifecycle);
    await dashboard.open(databaseUrl, lifecycle);
    const url = await lifecycle.open(
      'workers',
      () => primary.start(databaseUrl),
      () => primary.stop(),
      terms.stopTimeoutMs + 1_000,
    );
    return {
      url,
      managementUrl,
      reload: primary.reload,
      resize: primary.resize,
      stop: () => lifecycle.closeAll(terms.stopTimeoutMs + killedMs),
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}

/** The file that this process runs, and so do its workers. */
const entry = resolve(process.argv[1] ?? '');

function keepProgramOf({ childArguments, startChild }: ServerRoleContext): Program {
  const kept = keepProgram(entry);
  return {
    worker() {
      const place = kept.placeOf(entry);
      return { entry: place.entry, args: childArguments(place.envFile) };
    },
    spawnJobs() {
      const place = kept.placeOf(fileURLToPath(jobsEntry));
      return startChild(pathToFileURL(place.entry), place.envFile);
    },
    discard: kept.discard,
  };
}
