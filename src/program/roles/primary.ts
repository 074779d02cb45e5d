import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createLimitStore } from '../../app.ts';
import { createPrimaryLoads } from '../../cache/primary-loads.ts';
import { createPrimary } from '../../cluster/primary.ts';
import type { ProgramVersion } from '../../cluster/program-version.ts';
import { limitWaitingConnections } from '../../cluster/waiting-connections.ts';
import { jobsEntry } from '../../entries.ts';
import { createHostClock } from '../../limits/host-clock.ts';
import { createPrimaryLimits } from '../../limits/primary-limits.ts';
import { reportRefusedConnections } from '../../observability/closed-connections.ts';
import { startRuntimeMetrics } from '../../observability/metrics/runtime-metrics.ts';
import type { Settings } from '../../settings/load.ts';
import { captureSecretFiles, readShellFolder } from '../../settings/sources.ts';
import { createAlerts } from '../alerts/open-alerts.ts';
import { assertWebhookUsable } from '../alerts/webhook-check.ts';
import { createLifecycle } from '../lifecycle.ts';
import { banRules, createBans, openBans } from '../parts/bans/open-bans.ts';
import { connectionLimits, readFileLimit } from '../parts/connection-limits.ts';
import { createJobsDashboard } from '../parts/jobs-dashboard.ts';
import { assertCanListen, publicTarget } from '../parts/listen-error.ts';
import { openManagementPort } from '../parts/management-port.ts';
import { type MigrationWatch, openMigrationWatch, withMigrations } from '../parts/migration-watch.ts';
import { openDatabaseServer } from '../parts/open-database.ts';
import { assertGeoipUsable } from '../parts/open-geoip.ts';
import { assertRedisUsable } from '../parts/open-redis.ts';
import { copyProgram } from '../program-copy.ts';
import { createReleaseFinder, type Release, type ReleaseFinder } from '../release.ts';
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
  const started = { entry: process.argv[1] ?? '', cwd: process.cwd(), pwd: readShellFolder() };
  const releases = createReleaseFinder(started);
  let databaseUrl: string | null = null;
  /** The settings of the workers. */
  let current = settings;
  const bans = createBans(settings, log, metrics);
  const primary = createPrimary({
    supervision,
    async reloadSupervision({ folder }) {
      const advice = releases.findMovedLink();
      if (advice !== undefined) primaryLog.warning('config.warning', { advice });
      const renewed = await reloadSettings({
        atStart: settings,
        source,
        databaseUrl,
        folder,
        log: primaryLog,
      });
      return {
        supervision: supervisionOptions(renewed),
        revokes: hasRemovedSecret(current, renewed),
        onCompleted() {
          current = renewed;
          bans?.configure(banRules(renewed));
        },
      };
    },
    log: primaryLog,
    limits: createPrimaryLimits({ store: createLimitStore(settings, log, now), now }),
    bans,
    loads: createPrimaryLoads(),
    metrics,
    captureProgram: () => captureProgram(context, releases),
    hasJobs: context.dev === undefined && hasJobsProcess(settings),
  });
  const connections = connectionLimits(settings, readFileLimit());
  const reportRefused = reportRefusedConnections(primaryLog, metrics);
  limitWaitingConnections({
    // The channel of each worker takes a descriptor of the primary, and the start of a worker takes more for a moment.
    max: Math.max(1, connections.max - 2 * settings.server.workers),
    onRejected: () => reportRefused('full', ''),
  });
  // The child processes are killed also if an error causes the exit.
  process.on('exit', primary.kill);
  startRuntimeMetrics({ metrics, version: settings.application.projectVersion });
  try {
    let migrations: MigrationWatch | undefined;
    const dashboard = createJobsDashboard(settings, log);
    const alerts = createAlerts(settings);
    const managementUrl = await openManagementPort(
      { ...settings.server, maxConnections: connections.maxManagement },
      withMigrations(primary.fleet, () => migrations),
      log,
      lifecycle,
      { jobs: dashboard.source, bans, alerts: alerts.firing },
    );
    await assertCanListen(publicTarget(settings));
    await assertGeoipUsable(settings);
    await assertRedisUsable(settings, log);
    await assertWebhookUsable(settings);
    databaseUrl = await openDatabaseServer(settings, log, lifecycle, openedBy(context));
    migrations = await openMigrationWatch(settings, databaseUrl, { log, metrics, lifecycle });
    await dashboard.open(databaseUrl, lifecycle);
    await openBans(bans, { settings, log, metrics, lifecycle, databaseUrl });
    const url = await lifecycle.open(
      'workers',
      () => primary.start(databaseUrl),
      () => primary.stop(),
      supervision.stopTimeoutMs + 1_000,
    );
    await alerts.open({
      settings,
      log,
      metrics,
      lifecycle,
      databaseUrl,
      collect: primary.fleet.collectMetrics,
    });
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

/** Returns whether workers with the settings `before` accept a secret that those with `after` do not. */
function hasRemovedSecret(before: Settings, after: Settings): boolean {
  return before.security.jwtSecrets.some((secret) => !after.security.jwtSecrets.includes(secret));
}

function captureProgram(
  { childArguments, source, startChild }: ServerRoleContext,
  releases: ReleaseFinder,
): ProgramVersion {
  const release = releases.find();
  const copy = copyProgram(release);
  const env = captureSecretFiles(source);
  /** The jobs entry lies relative to the entry as in the running program. */
  const jobs = join(
    dirname(release.entry),
    relative(dirname(releases.first.entry), fileURLToPath(jobsEntry)),
  );
  return {
    version: release.version,
    folder: release.folder,
    enter() {
      try {
        process.chdir(release.cwd);
      } catch {
        // The folder of an old release may have been removed.
      }
    },
    worker() {
      const location = copy.locate(release.entry);
      const args = childArguments(location.envFile);
      return { entry: location.entry, args, cwd: usableFolder(release), env };
    },
    spawnJobs() {
      const location = copy.locate(jobs);
      return startChild(pathToFileURL(location.entry), {
        envFile: location.envFile,
        cwd: usableFolder(release),
        env,
      });
    },
    discard: copy.discard,
  };
}

/** A release that was removed runs from its copy, in the working directory of the primary. */
function usableFolder({ cwd }: Release): string | undefined {
  return existsSync(cwd) ? cwd : undefined;
}
