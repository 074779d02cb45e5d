/**
 * The application: the pipeline (`pipeline.ts`) and the routes (`routes.ts`), checked against each other and put
 * together. Nothing is opened here, so an application can be made for a test, for a command that prints its routes, or
 * for a server.
 *
 * The route is matched before the pipeline runs, so that every layer can read what it declares; a path that
 * matches nothing runs the same pipeline and ends in a 404.
 */

import { StartError } from './errors.ts';
import { createAddressSet } from './http/addresses.ts';
import { compose } from './http/compose.ts';
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
import type { Logger } from './observability/logger.ts';
import { type AppLayer, addressLimit, corsPolicy, pipelineLayers, trustedProxies } from './pipeline.ts';
import { createRoutes, type RouteParts } from './routes.ts';
import type { Settings } from './settings/load.ts';

export interface AppParts extends RouteParts {
  /** Where permits are counted; by default in this process. */
  readonly limitStore?: LimitStore;
  /** Milliseconds of a clock that does not run backwards. */
  readonly now?: () => number;
}

export interface App {
  readonly pipeline: Next;
  readonly router: Router<PreparedRoute>;
  readonly routes: readonly Route[];
  /** The layers that are in force, outermost first. */
  readonly layers: readonly AppLayer[];
  /** Takes what the server reports of messages that never become requests. */
  readonly onMalformed: (report: MalformedReport) => void;
  /** The fields by which a page of this origin may read the answer to such a message; undefined if it may not. */
  readonly malformedFieldsFor: (origin: string) => Readonly<Record<string, string>> | undefined;
}

/** Makes the application. Throws a StartError if a layer that is on lacks what it needs. */
export function createApp(parts: AppParts): App {
  const { settings, log, metrics } = parts;
  const store = parts.limitStore ?? createLimitStore(settings, log.named('http'), parts.now);
  const limitStore = createMeteredLimitStore(store, metrics);
  const layers = pipelineLayers({ ...parts, limitStore }).filter(({ enabled }) => enabled);
  for (const { name } of layers) log.debug('middleware.registered', { layer: name });

  const routes = createRoutes(parts);
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
  const isLimited = layers.some(({ name }) => name === 'rate-limit');
  const onMalformed = createParserErrorReporter({
    log,
    metrics,
    limits: isLimited ? { limit: addressLimit(settings), store: limitStore } : undefined,
    isProxy: createAddressSet(trustedProxies(settings)),
  });
  return {
    pipeline: compose(layers, dispatch, { timed }),
    router: createRouter(entries),
    routes,
    layers,
    onMalformed,
    malformedFieldsFor: layers.some(({ name }) => name === 'cors')
      ? createOriginFields(corsPolicy(settings))
      : () => undefined,
  };
}

/**
 * A redirect to HTTPS by a layer that cannot know the scheme would never end; a route that wants somebody in particular
 * must not be open because the layers that look are off.
 */
function assertLayerNeeds(layers: readonly AppLayer[], routes: readonly Route[]): void {
  const names = new Set(layers.map(({ name }) => name));
  if (names.has('https-policy') && !names.has('proxy-headers')) {
    throw new StartError(
      'The layer https-policy needs proxy-headers: take proxy-headers out of APP_DISABLED_LAYERS, or put https-policy in.',
    );
  }
  const closed = routes.find((route) => !isOpen(route));
  for (const layer of ['authenticate', 'authorise', 'recheck-authority']) {
    if (closed === undefined || names.has(layer)) continue;
    throw new StartError(
      `The layer ${layer} is needed, since ${closed.method} ${closed.path} is not for everybody: take ${layer} out of APP_DISABLED_LAYERS.`,
    );
  }
}

/** Where the permits of all limits are counted, in this process. */
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
