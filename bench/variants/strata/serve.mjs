/** Starts the built program as `src/program/server-program.ts` does for a single process. */

import { events } from '../../../src/declarations.ts';
import { recordStacksOfAppErrors } from '../../../src/errors.ts';
import { openLogDestination } from '../../../src/observability/log/log-destination.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { countEvents } from '../../../src/observability/metrics/event-metrics.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { startServer } from '../../../src/program/start-server.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { environment } from './settings.mjs';

export function serve(extraRoutes, { disabledLayers = [] } = {}) {
  const { settings } = loadSettings({
    envFile: null,
    env: environment(disabledLayers),
  });
  const { application } = settings;
  recordStacksOfAppErrors(application.debug);
  const metrics = createMetrics();
  const log = createLogger({
    level: application.logLevel,
    destination: openLogDestination('json'),
    includeCaller: application.logIncludeCaller,
    base: { service: application.projectName, environment: application.environment },
    onEvent: countEvents(metrics, events),
  });
  return startServer({ settings, log, extraRoutes, metrics });
}
