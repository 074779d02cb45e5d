import { setTimeout as delay } from 'node:timers/promises';
import { openSupervisorChannel } from '../../cluster/supervisor-channel.ts';
import { StartError } from '../../errors.ts';
import { startWorkerLimits } from '../../limits/worker-limits.ts';
import { openProcessBans } from '../parts/bans/open-bans.ts';
import { ignoreSignals } from '../signals.ts';
import { startServer } from '../start-server.ts';
import type { ServerRoleContext } from './server-role.ts';

/** How long a worker whose primary is gone may answer the requests in progress, in milliseconds. */
const orphanGraceMs = 4_000;

/** Serves the connections that the primary accepts, until the primary stops it or is gone. Resolves with the exit code. */
export async function runHttpWorker({
  options,
  settings,
  log,
  flushTerminal,
  metrics,
  reportShortage,
}: ServerRoleContext): Promise<number> {
  const channel = openSupervisorChannel(metrics);
  ignoreSignals();
  return Promise.race([serve(), channel.orphaned.then(() => delay(orphanGraceMs, 0))]);

  async function serve(): Promise<number> {
    const { rateLimitOnFailure: onFailure } = settings.security;
    const limits = startWorkerLimits({ channel: channel.limits, onFailure, log, metrics });
    const bans = openProcessBans(settings, channel.bans);
    const order = await Promise.race([channel.startOrder, channel.stopOrder]);
    if (typeof order === 'string') return 0;
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
        bans,
        nodeBus: channel.invalidations,
        ...(order.sharesLoads === true && { nodeLoads: channel.loads }),
        databaseUrl: order.databaseUrl,
      };
      const server = await Promise.race([startServer(parts), channel.stopOrder]);
      if (typeof server === 'string') return 0;
      const stopHeartbeat = channel.startHeartbeat(server);
      await flushTerminal();
      await channel.send({ kind: 'ready', url: server.url });
      const reason = await channel.stopOrder;
      const lingerMs = settings.server.keepAliveSeconds * 1000;
      await server.stop(reason === 'taken over' && !channel.isHastened() ? { lingerMs } : {});
      stopHeartbeat();
      limits.stop();
      bans?.stop();
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
