import type { Fleet } from '../cluster/fleet.ts';
import { httpOrigin } from '../http/addresses.ts';
import type { JobsSource } from '../management/jobs/routes.ts';
import { createManagementServer, type ManagementServer } from '../management/server.ts';
import type { Logger } from '../observability/logger.ts';
import { isLoopback } from '../settings/groups/management.ts';
import type { Settings } from '../settings/load.ts';
import type { Lifecycle } from './lifecycle.ts';
import { listenErrorCode, rejectListenError } from './listen-error.ts';

interface ManagementSettings
  extends Pick<
    Settings['server'],
    'management' | 'managementHost' | 'managementToken' | 'managementAllowedHosts'
  > {
  /** How many connections the port may have. Default 256. */
  readonly maxConnections?: number;
}

/** How long an open management port may take to close, in milliseconds. */
const closeMs = 2_000;

/**
 * Opens the management port where the settings want it, and says where that is; null for nowhere. Open it before the
 * workers, so that it answers while they start, and while they drain. Throws a StartError for a port that is taken;
 * locally, where two projects may run beside each other, one that nobody has chosen gives way with a warning. With
 * `jobs` the port has their pages too.
 */
export async function openManagementPort(
  settings: ManagementSettings,
  fleet: Fleet,
  log: Logger,
  lifecycle: Lifecycle,
  jobs?: JobsSource,
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
    if (mayMove && listenErrorCode(error) === 'EADDRINUSE') {
      const advice = `Port ${port} is taken, so the management port is a free one: set APP_MANAGEMENT_PORT to choose.`;
      log.warning('config.warning', { advice });
      return server.listen(0, host);
    }
    return rejectListenError(error, {
      host,
      port,
      hostSetting: 'APP_MANAGEMENT_HOST',
      portSetting: 'APP_MANAGEMENT_PORT',
    });
  }
}
