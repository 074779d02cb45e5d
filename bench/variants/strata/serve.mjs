/** Starts the built program as `src/program.ts` does for a single process. */

import { countEvents } from '../../../dist/observability/event-metrics.js';
import { openLogDestination } from '../../../dist/observability/log-destination.js';
import { createLogger } from '../../../dist/observability/logger.js';
import { createMetrics } from '../../../dist/observability/metrics.js';
import { loadSettings } from '../../../dist/settings/load.js';
import { startServer } from '../../../dist/start.js';
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
