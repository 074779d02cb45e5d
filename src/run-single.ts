import { createSingleFleet } from './cluster/single-fleet.ts';
import { createLifecycle } from './lifecycle.ts';
import { openManagementPort } from './management-port.ts';
import type { RoleParts, Running } from './program.ts';
import { startServer } from './start.ts';

/** Serves in this process: a fleet of one, with the management port on the same event loop. */
export async function runSingle({ options, settings, log, metrics }: RoleParts): Promise<Running> {
  const lifecycle = createLifecycle(log);
  const { fleet, serve, drain } = createSingleFleet(metrics);
  const stopMs = settings.server.shutdownGraceSeconds * 1000 + 40_000;
  const unsupported = (advice: string) => () => log.warning('config.warning', { advice });
  try {
    const managementUrl = await openManagementPort(settings.server, fleet, log, lifecycle);
    const server = await lifecycle.open(
      'application',
      () => startServer({ ...options, settings, log, metrics }),
      (opened) => opened.stop(),
      stopMs,
    );
    serve(server);
    return {
      url: server.url,
      managementUrl,
      reload: unsupported('SIGHUP does nothing with one process: set APP_WORKERS to 2 or more, or restart.'),
      resize: unsupported('SIGTTIN and SIGTTOU do nothing with one process: set APP_WORKERS to 2 or more.'),
      stop() {
        drain();
        return lifecycle.closeAll();
      },
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}
