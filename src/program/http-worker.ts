import { setTimeout as delay } from 'node:timers/promises';
import { openPrimaryChannel } from '../cluster/worker.ts';
import { StartError } from '../errors.ts';
import { startWorkerLimits } from '../limits/worker-limits.ts';
import type { ServerRoleContext } from './server-role.ts';
import { ignoreSignals } from './signals.ts';
import { startServer } from './start-server.ts';

/** How long a worker that has lost its primary may answer what it has, in milliseconds. */
const orphanGraceMs = 4_000;

/** Serves what the primary's socket gives it, until the primary says stop or is gone. Resolves with the exit code. */
export async function runHttpWorker({
  options,
  settings,
  log,
  metrics,
  reportShortage,
}: ServerRoleContext): Promise<number> {
  const channel = openPrimaryChannel(metrics);
  ignoreSignals();
  return Promise.race([serve(), channel.orphaned.then(() => delay(orphanGraceMs, 0))]);

  async function serve(): Promise<number> {
    const { rateLimitOnFailure: onFailure } = settings.security;
    const limits = startWorkerLimits({ channel: channel.limits, onFailure, log, metrics });
    const begun = await Promise.race([channel.begun, channel.stopAsked]);
    if (typeof begun === 'string') return 0;
    try {
      const { fleetMetrics } = channel;
      const parts = {
        ...options,
        settings,
        log,
        metrics,
        reportShortage,
        limitStore: limits.store,
        fleetMetrics,
        ...begun,
      };
      const server = await Promise.race([startServer(parts), channel.stopAsked]);
      if (typeof server === 'string') return 0;
      const endReports = channel.report(server);
      await channel.send({ kind: 'ready', url: server.url });
      const reason = await channel.stopAsked;
      const lingerMs = settings.server.keepAliveSeconds * 1000;
      await server.stop(reason === 'taken over' ? { lingerMs } : {});
      endReports();
      limits.stop();
      await channel.sendMetrics();
      await channel.leave();
      return 0;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      await channel.send({ kind: 'failed', message: error.message });
      return 1;
    }
  }
}
