/**
 * Creates the application: combines the pipeline (`pipeline.ts`) with the routes (`routes.ts`) and checks them against each
 * other. It opens nothing, so a server, a test and a command that prints the routes can all create one.
 *
 * The route is matched before the pipeline runs, so that every layer can read its declarations. A request without a route
 * passes the same pipeline and gets a 404.
 */

import { noBans, type ProcessBans } from './bans/process-bans.ts';
import { StartError } from './errors.ts';
import type { HealthCheck } from './features/health/health.ts';
import type { FindCountry } from './geoip/country-finder.ts';
import { compose } from './http/compose.ts';
import { createAddressSet } from './http/connection/addresses.ts';
import type { MalformedReport } from './http/connection/malformed.ts';
import type { Next, PreparedRoute } from './http/context.ts';
import { dispatch, prepareRoute } from './http/dispatch.ts';
import type { Route } from './http/route.ts';
import { assertRoutePolicies, isOpen } from './http/route-policy.ts';
import { createRouter, type Router } from './http/router.ts';
import type { LimitStore } from './limits/limit-store.ts';
import { createMemoryLimitStore, type MemoryLimitStore } from './limits/memory-store.ts';
import { createMeteredLimitStore } from './limits/metered-store.ts';
import { createOriginFields } from './middleware/cors.ts';
import { createParserErrorReporter } from './middleware/parser-errors.ts';
import {
  type CircuitMetrics,
  type CircuitSet,
  createCircuitMetrics,
  createCircuitSet,
} from './observability/circuit-set.ts';
import { createLoadShedder, type LoadShedder } from './observability/load-shedder.ts';
import type { Logger } from './observability/logger.ts';
import { type AppLayer, pipelineLayers } from './pipeline.ts';
import { addressLimit, corsPolicy, trustedProxies } from './pipeline-options.ts';
import { createRoutes, type RouteParts } from './routes.ts';
import type { Settings } from './settings/load.ts';

export interface AppParts extends RouteParts {
  /** Counts the permits of all limits; by default in this process. */
  readonly limitStore?: LimitStore;
  /** Counts open circuits, if they are declared already. */
  readonly circuitMetrics?: CircuitMetrics;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  /** The bans that the layer `ban-list` enforces; by default there are none. */
  readonly bans?: ProcessBans | undefined;
  /** Finds the country of a client; required to answer requests if the settings enable it. */
  readonly findCountry?: FindCountry | undefined;
}

export interface App {
  readonly pipeline: Next;
  readonly router: Router<PreparedRoute>;
  readonly routes: readonly Route[];
  /** The enabled layers, outermost first. */
  readonly layers: readonly AppLayer[];
  /** Handles the reports of the server about malformed input. */
  readonly onMalformed: (report: MalformedReport) => void;
  /** Returns the CORS fields of a response to malformed input, for a page of this origin; undefined if it may not read it. */
  readonly malformedFieldsFor: (origin: string) => Readonly<Record<string, string>> | undefined;
}

/** Creates the application. Throws a StartError for invalid declarations of routes, and if a disabled layer is needed by a route or by another layer. */
export function createApp(parts: AppParts): App {
  const { settings, log, metrics } = parts;
  const store = parts.limitStore ?? createLimitStore(settings, log.named('http'), parts.now);
  const limitStore = createMeteredLimitStore(store, metrics);
  const circuitMetrics = parts.circuitMetrics ?? createCircuitMetrics(metrics);
  const routeCircuits = createRouteCircuits(settings, log.named('http'), circuitMetrics);
  const loadShedder = createLoadShedder({
    maxRequests: settings.security.overloadMaxRequests,
    targetMs: settings.security.overloadTurnMs,
    queueMs: parts.database.oldestWaitMs,
    ...{ log: log.named('http'), metrics },
  });
  const layers = pipelineLayers({ ...parts, limitStore, routeCircuits, loadShedder }).filter(
    ({ enabled }) => enabled,
  );
  for (const { name } of layers) log.debug('middleware.registered', { layer: name });

  const has = (layer: string) => layers.some(({ name }) => name === layer);
  const routes = createRoutes({
    ...{ ...parts, circuitMetrics },
    healthChecks: [
      ...(parts.healthChecks ?? []),
      ...(has('circuit-breaker') ? [routesCheck(routeCircuits)] : []),
      ...(has('load-shedding') ? [loadCheck(loadShedder)] : []),
    ],
  });
  assertLayerNeeds(layers, routes);
  assertRoutePolicies(routes);
  const { maxRequestSize, maxUploadSize } = settings.security;
  const timeoutMs = settings.server.bodyTimeoutSeconds * 1000;
  const bodyLimitsOf = ({ upload }: Route) => ({
    maxBytes: upload === undefined ? maxRequestSize : maxUploadSize,
    timeoutMs,
  });
  const entries = routes.map((route) => ({
    method: route.method,
    path: route.path,
    value: prepareRoute(route, bodyLimitsOf(route)),
  }));
  const timed = settings.application.environment === 'local';
  const onMalformed = createParserErrorReporter({
    log,
    metrics,
    limits: has('rate-limit') ? { limit: addressLimit(settings), store: limitStore } : undefined,
    onExceeded: (parts.bans ?? noBans).reportViolation,
    isProxy: createAddressSet(trustedProxies(settings)),
  });
  return {
    pipeline: compose(layers, dispatch, { timed }),
    router: createRouter(entries),
    routes,
    layers,
    onMalformed,
    malformedFieldsFor: has('cors') ? createOriginFields(corsPolicy(settings)) : () => undefined,
  };
}

/**
 * Without `proxy-headers` the scheme is unknown, and `https-policy` would redirect forever. Without the layers that check
 * credentials, routes that require them would be open.
 */
function assertLayerNeeds(layers: readonly AppLayer[], routes: readonly Route[]): void {
  const names = new Set(layers.map(({ name }) => name));
  if (names.has('https-policy') && !names.has('proxy-headers')) {
    throw new StartError(
      'The layer https-policy needs proxy-headers: remove proxy-headers from APP_DISABLED_LAYERS, or add https-policy.',
    );
  }
  const closed = routes.find((route) => !isOpen(route));
  for (const layer of ['authenticate', 'authorise', 'recheck-authority']) {
    if (closed === undefined || names.has(layer)) continue;
    throw new StartError(
      `The layer ${layer} is needed, because ${closed.method} ${closed.path} requires credentials: remove ${layer} from APP_DISABLED_LAYERS.`,
    );
  }
}

/** Creates the circuits of the routes. */
export function createRouteCircuits(
  { security, server }: Settings,
  log: Logger,
  metrics: CircuitMetrics,
): CircuitSet {
  const openMs = security.circuitBreakerTimeout * 1000;
  return createCircuitSet({
    kind: 'route',
    policy: {
      windowMs: 60_000,
      minCalls: security.circuitBreakerThreshold,
      minFailures: security.circuitBreakerThreshold,
      failureRate: 0.5,
      slowCallMs: server.requestTimeoutSeconds * 1000,
      openMs,
      maxOpenMs: 5 * openMs,
    },
    ...{ log, metrics, now: () => performance.now() },
  });
}

/** Reports the routes with an open circuit; the server answers all others. */
function routesCheck(circuits: CircuitSet): HealthCheck {
  return {
    name: 'routes',
    required: false,
    async run() {
      const names = circuits.openNames();
      if (names.length === 0) return undefined;
      return { degraded: `Routes that fail repeatedly are rejected at the moment: ${names.join(', ')}.` };
    },
  };
}

/** Reports that requests are rejected because the process is overloaded. */
function loadCheck(shedder: LoadShedder): HealthCheck {
  return {
    name: 'load',
    required: false,
    async run() {
      const problem = shedder.problem();
      return problem === undefined ? undefined : { degraded: problem };
    },
  };
}

/** Creates a store that counts the permits of all limits in this process. */
export function createLimitStore(
  settings: Settings,
  log: Logger,
  now: () => number = () => performance.now(),
): MemoryLimitStore {
  return createMemoryLimitStore({
    maxClients: settings.security.rateLimitMaxClients,
    now,
    onCleanup: (counts) => log.debug('rate_limit.cleanup', { ...counts }),
  });
}
