import { createLimitStore } from './app.ts';
import { createPrimary, type SupervisionTerms } from './cluster/primary.ts';
import { openDatabaseServer } from './database-server.ts';
import { createLifecycle } from './lifecycle.ts';
import { createHostClock } from './limits/host-clock.ts';
import { createPrimaryLimits } from './limits/primary-limits.ts';
import { openManagementPort } from './management-port.ts';
import { startRuntimeMetrics } from './observability/runtime-metrics.ts';
import type { RoleParts, Running } from './program.ts';
import type { Settings } from './settings/load.ts';
import { renewSettings } from './settings-renewal.ts';

/** What a worker needs to end beyond the grace time of its requests, in milliseconds. */
const closeMs = 10_000;

/** Opens the management port and the database, forks the workers and decides on permits for all of them. */
export async function runPrimary({ settings, source, log, metrics }: RoleParts): Promise<Running> {
  const lifecycle = createLifecycle(log);
  const primaryLog = log.named('primary');
  const now = createHostClock();
  let databaseUrl: string | null = null;
  const primary = createPrimary({
    terms: termsOf(settings),
    renewTerms: async () =>
      termsOf(await renewSettings({ atStart: settings, source, databaseUrl, log: primaryLog })),
    log: primaryLog,
    limits: createPrimaryLimits({ store: createLimitStore(settings, log, now), now }),
    metrics,
  });
  // Whatever ends this process, it leaves no worker behind that it could still end.
  process.on('exit', primary.kill);
  startRuntimeMetrics({ metrics, version: settings.application.projectVersion });
  try {
    const managementUrl = await openManagementPort(settings.server, primary.fleet, log, lifecycle);
    databaseUrl = await openDatabaseServer(settings, log, lifecycle);
    const url = await lifecycle.open(
      'workers',
      () => primary.start(databaseUrl),
      () => primary.stop(),
      termsOf(settings).drainTimeoutMs + closeMs,
    );
    return {
      url,
      managementUrl,
      reload: primary.reload,
      resize: primary.resize,
      stop: () => lifecycle.closeAll(),
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}

function termsOf({ server }: Settings): SupervisionTerms {
  return {
    workers: server.workers,
    startTimeoutMs: server.workerStartTimeoutSeconds * 1000,
    drainTimeoutMs: server.shutdownGraceSeconds * 1000 + closeMs,
    silenceMs: server.workerTimeoutSeconds * 1000,
    canaryMs: server.reloadCanarySeconds * 1000,
    maxRequests: server.workerMaxRequests,
    maxRequestsJitter: server.workerMaxRequestsJitter,
    maxMemoryBytes: server.workerMaxMemoryMb * 1024 * 1024,
  };
}
