/** Starts the built program as `src/program.ts` does for a single process. */

import { countEvents } from '../../../src/observability/event-metrics.ts';
import { openLogDestination } from '../../../src/observability/log-destination.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { createMetrics } from '../../../src/observability/metrics.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { startServer } from '../../../src/start.ts';
import { environment } from './settings.mjs';

export function serve(extraRoutes, { disabledLayers = [] } = {}) {
  const { settings } = loadSettings({
    envFile: null,
    env: environment(disabledLayers),
  });
  const { application } = settings;
  const metrics = createMetrics();
  const log = createLogger({
    level: application.logLevel,
    destination: openLogDestination(application.logFormat),
    includeCaller: application.logIncludeCaller,
    base: { service: application.projectName, environment: application.environment },
    onEvent: countEvents(metrics),
  });
  return startServer({ settings, log, extraRoutes, metrics });
}
