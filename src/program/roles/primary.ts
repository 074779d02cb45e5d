import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createLimitStore } from '../../app.ts';
import { createPrimary, type ProgramVersion } from '../../cluster/primary.ts';
import { limitWaitingConnections } from '../../cluster/waiting-connections.ts';
import { jobsEntry } from '../../entries.ts';
import { createHostClock } from '../../limits/host-clock.ts';
import { createPrimaryLimits } from '../../limits/primary-limits.ts';
import { startRuntimeMetrics } from '../../observability/metrics/runtime-metrics.ts';
import { reportRefusedConnections } from '../../observability/refused-connections.ts';
import { createLifecycle } from '../lifecycle.ts';
import { connectionLimits, readFileLimit } from '../parts/connection-limits.ts';
import { createJobsDashboard } from '../parts/jobs-dashboard.ts';
import { assertCanListen, publicTarget } from '../parts/listen-error.ts';
import { openManagementPort } from '../parts/management-port.ts';
import { openDatabaseServer } from '../parts/open-database.ts';
import { copyProgram } from '../program-copy.ts';
import { reloadSettings } from './reload-settings.ts';
import { openedBy, type RunningRole, type ServerRoleContext } from './server-role.ts';
import { hasJobsProcess, supervisionOptions } from './supervision-options.ts';

/** After SIGKILL, how long the exit of a process may take to arrive, in milliseconds. */
const killedMs = 50;

/**
 * Runs the primary: opens the management port and the database, forks the workers and the jobs process, and decides on
 * rate-limit permits for all workers.
 */
export async function runPrimary(context: ServerRoleContext): Promise<RunningRole> {
  const { settings, source, log, metrics } = context;
  const lifecycle = createLifecycle(log);
  const primaryLog = log.named('primary');
  const now = createHostClock();
  const supervision = supervisionOptions(settings);
  let databaseUrl: string | null = null;
  const primary = createPrimary({
    supervision,
    reloadSupervision: async () =>
      supervisionOptions(await reloadSettings({ atStart: settings, source, databaseUrl, log: primaryLog })),
    log: primaryLog,
    limits: createPrimaryLimits({ store: createLimitStore(settings, log, now), now }),
    metrics,
    captureProgram: () => captureProgram(context),
    hasJobs: context.dev === undefined && hasJobsProcess(settings),
  });
  const connections = connectionLimits(settings, readFileLimit());
  const reportRefused = reportRefusedConnections(primaryLog, metrics);
  limitWaitingConnections({
    // The channel of each worker takes a descriptor of the primary, and the start of a worker takes more for a moment.
    max: Math.max(1, connections.max - 2 * settings.server.workers),
    onRejected: () => reportRefused('full', ''),
  });
  // Kills the children whatever the cause of the exit.
  process.on('exit', primary.kill);
  startRuntimeMetrics({ metrics, version: settings.application.projectVersion });
  try {
    const dashboard = createJobsDashboard(settings, log);
    const managementUrl = await openManagementPort(
      { ...settings.server, maxConnections: connections.maxManagement },
      primary.fleet,
      log,
      lifecycle,
      dashboard.source,
    );
    await assertCanListen(publicTarget(settings));
    databaseUrl = await openDatabaseServer(settings, log, lifecycle, openedBy(context));
    await dashboard.open(databaseUrl, lifecycle);
    const url = await lifecycle.open(
      'workers',
      () => primary.start(databaseUrl),
      () => primary.stop(),
      supervision.stopTimeoutMs + 1_000,
    );
    return {
      url,
      managementUrl,
      databaseUrl,
      reload: primary.reload,
      resize: primary.resize,
      stop: () => lifecycle.closeAll(supervision.stopTimeoutMs + killedMs),
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}

/** The file that this process and its workers run. */
const entry = resolve(process.argv[1] ?? '');

function captureProgram({ childArguments, startChild }: ServerRoleContext): ProgramVersion {
  const copy = copyProgram(entry);
  return {
    worker() {
      const location = copy.locate(entry);
      return { entry: location.entry, args: childArguments(location.envFile) };
    },
    spawnJobs() {
      const location = copy.locate(fileURLToPath(jobsEntry));
      return startChild(pathToFileURL(location.entry), location.envFile);
    },
    discard: copy.discard,
  };
}
