import type { Fleet } from '../../cluster/fleet.ts';
import { systemErrorCode } from '../../errors.ts';
import { httpOrigin } from '../../http/connection/addresses.ts';
import type { JobsSource } from '../../management/jobs/data.ts';
import {
  createManagementServer,
  type ManagementOptions,
  type ManagementServer,
} from '../../management/server.ts';
import type { Logger } from '../../observability/logger.ts';
import { isLoopback } from '../../settings/groups/management.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { toListenError } from './listen-error.ts';

interface ManagementSettings
  extends Pick<
    Settings['server'],
    'management' | 'managementHost' | 'managementToken' | 'managementAllowedHosts'
  > {
  /** The maximum number of open connections. Default 256. */
  readonly maxConnections?: number;
}

/** The sources of the pages that the port shows in addition to the processes. */
export interface ManagementSources extends Pick<ManagementOptions, 'alerts' | 'bans'> {
  readonly jobs?: JobsSource;
}

/** How long the management port may take to close, in milliseconds. */
const closeMs = 2_000;

/**
 * Opens the management port, and resolves with its URL; null if the settings disable it. Open it before the workers start,
 * so that it answers while they start and while they drain. With `jobs` the port serves the pages of the jobs too, with
 * `bans` the banned clients, and with `alerts` the firing alerts.
 *
 * Rejects with a StartError if the port is taken. Locally, where two projects may run on one machine, a default port that
 * is taken is replaced by a free one, with a warning.
 */
export async function openManagementPort(
  settings: ManagementSettings,
  fleet: Fleet,
  log: Logger,
  lifecycle: Lifecycle,
  { jobs, bans, alerts }: ManagementSources = {},
): Promise<string | null> {
  const { management, managementHost: host, managementToken: token, maxConnections } = settings;
  if (management === null) return null;
  const server = createManagementServer({
    fleet,
    log: log.named('management'),
    token,
    ...(maxConnections === undefined ? {} : { maxConnections }),
    host,
    allowedHosts: settings.managementAllowedHosts,
    bans,
    ...(alerts === undefined ? {} : { alerts }),
    ...(jobs === undefined ? {} : { jobs: { source: jobs, loopback: isLoopback(host) } }),
  });
  const port = await lifecycle.open(
    'management port',
    () => listen(server, host, management, log),
    () => server.close(),
    closeMs,
  );
  const url = httpOrigin(host, port);
  log.info('management.ready', { url });
  return url;
}

async function listen(
  server: ManagementServer,
  host: string,
  { port, mayMove }: { readonly port: number; readonly mayMove: boolean },
  log: Logger,
): Promise<number> {
  try {
    return await server.listen(port, host);
  } catch (error) {
    if (mayMove && systemErrorCode(error) === 'EADDRINUSE') {
      const advice = `Port ${port} is taken, so the management port uses a free one. Set APP_MANAGEMENT_PORT to choose the port.`;
      log.warning('config.warning', { advice });
      return server.listen(0, host);
    }
    throw toListenError(error, {
      host,
      port,
      hostSetting: 'APP_MANAGEMENT_HOST',
      portSetting: 'APP_MANAGEMENT_PORT',
    });
  }
}
