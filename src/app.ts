/**
 * The application: the pipeline in its order, and how settings become the options of its layers. The routes are in
 * `routes.ts`. Nothing is opened here, so an application can be made for a test, for a command that prints its
 * routes, or for a server.
 *
 * The route is matched before the pipeline runs, so that every layer can read what it declares; a path that
 * matches nothing runs the same pipeline and ends in a 404.
 */

import { StartError } from './errors.ts';
import { compose } from './http/compose.ts';
import type { Layer, Next } from './http/context.ts';
import { dispatch, type PreparedRoute, prepareRoute } from './http/dispatch.ts';
import { methods, type Route } from './http/route.ts';
import { createRouter, type Router } from './http/router.ts';
import type { LimitStore, Policy } from './limits/limit-store.ts';
import { createMemoryLimitStore, type MemoryLimitStore } from './limits/memory.ts';
import { compression } from './middleware/compression.ts';
import { contentValidation } from './middleware/content-validation.ts';
import { cors } from './middleware/cors.ts';
import { deadline } from './middleware/deadline.ts';
import { errorBoundary } from './middleware/error-boundary.ts';
import { etag } from './middleware/etag.ts';
import { httpsPolicy } from './middleware/https-policy.ts';
import { proxyHeaders } from './middleware/proxy-headers.ts';
import { rateLimit } from './middleware/rate-limit.ts';
import { requestId } from './middleware/request-id.ts';
import { requestLog } from './middleware/request-log.ts';
import { securityHeaders } from './middleware/security-headers.ts';
import { trustedHost } from './middleware/trusted-host.ts';
import type { Logger } from './observability/logger.ts';
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
}

/** A layer with what the documentation says of it. */
export interface AppLayer extends Layer {
  /** Its number in the guide that this project rebuilds. */
  readonly guide: string;
  /** What it does, in a few words. */
  readonly purpose: string;
  /** The statuses it may end a request with. */
  readonly ends: string;
  /** What it does not work without. */
  readonly needs: string;
  /** Whether the settings ask for it. */
  readonly enabled: boolean;
}

/** Makes the application. Throws a StartError if a layer that is on lacks what it needs. */
export function createApp(parts: AppParts): App {
  const { settings, log } = parts;
  const layers = pipelineLayers(parts).filter(({ enabled }) => enabled);
  refuseMissingNeed(layers);
  for (const { name } of layers) log.debug('middleware.registered', { layer: name });

  const routes = createRoutes(parts);
  const defaults = {
    maxBytes: settings.security.maxRequestSize,
    timeoutMs: settings.server.bodyTimeoutSeconds * 1000,
  };
  const entries = routes.map((route) => ({
    method: route.method,
    path: route.path,
    value: prepareRoute(route, defaults),
  }));
  const timed = settings.application.environment === 'local';
  return { pipeline: compose(layers, dispatch, { timed }), router: createRouter(entries), routes, layers };
}

/** A redirect to HTTPS by a layer that cannot know the scheme would never end. */
function refuseMissingNeed(layers: readonly AppLayer[]): void {
  const names = new Set(layers.map(({ name }) => name));
  if (names.has('https-policy') && !names.has('proxy-headers')) {
    throw new StartError(
      'The layer https-policy needs proxy-headers: take proxy-headers out of APP_DISABLED_LAYERS, or put https-policy in.',
    );
  }
}

/** The pipeline, outermost first. The order is the promise: a test holds it, and the documentation shows it. */
export function pipelineLayers(parts: AppParts): AppLayer[] {
  const { settings, log } = parts;
  const { application, security, server } = settings;
  const disabled = new Set<string>(application.disabledLayers);
  const policies = addressPolicies(settings);
  const httpLog = log.named('http');

  const layers: Omit<AppLayer, 'enabled'>[] = [
    {
      name: 'error-boundary',
      guide: '-',
      purpose: 'Turns whatever is thrown inside into a problem',
      ends: '500 and every refusal',
      needs: '-',
      run: errorBoundary({ log: httpLog, debug: application.debug }),
    },
    {
      name: 'request-id',
      guide: '8',
      purpose: 'Gives the request an id and binds it to every log line',
      ends: '-',
      needs: '-',
      run: requestId(),
    },
    {
      name: 'request-log',
      guide: '9',
      purpose: 'Logs start and end, sets X-Process-Time and Server-Timing',
      ends: '-',
      needs: '-',
      run: requestLog({
        log: httpLog,
        bodies: application.debug && log.enabled('DEBUG'),
        serverTiming: application.environment === 'local',
      }),
    },
    {
      name: 'deadline',
      guide: '-',
      purpose: 'Ends the work when the client is gone or the time is up',
      ends: '503',
      needs: '-',
      run: deadline({ timeoutMs: server.requestTimeoutSeconds * 1000 }),
    },
    {
      name: 'proxy-headers',
      guide: '4',
      purpose: 'Finds the client behind trusted proxies',
      ends: '-',
      needs: '-',
      run: proxyHeaders({
        log: httpLog,
        trusted: security.trustProxyHeaders ? security.trustedProxies : [],
      }),
    },
    {
      name: 'security-headers',
      guide: '1',
      purpose: 'Tells browsers what the answer must not be used for',
      ends: '-',
      needs: 'proxy-headers, for HSTS',
      run: securityHeaders({
        hsts: security.enableHsts && application.isProduction,
        hstsPreload: security.hstsPreload,
        contentSecurityPolicy: security.enableCsp ? security.cspPolicy : undefined,
        server: security.serverHeader,
      }),
    },
    {
      name: 'trusted-host',
      guide: '6, part of 3',
      purpose: 'Refuses malformed targets and hosts, and hosts not served here',
      ends: '400, 414, 417, 421, 431, 501',
      needs: '-',
      run: trustedHost({ allowed: application.allowedHosts }),
    },
    {
      name: 'https-policy',
      guide: '-',
      purpose: 'Sends plain HTTP to HTTPS',
      ends: '308, 403',
      needs: 'proxy-headers',
      run: httpsPolicy(),
    },
    {
      name: 'cors',
      guide: '7',
      purpose: 'Lets pages of listed origins read the answers',
      ends: '204 (preflight)',
      needs: '-',
      run: cors({
        origins: application.corsAllowOrigins,
        credentials: application.corsAllowCredentials,
        methods: [...methods, 'HEAD'],
        allowedHeaders: [
          'Authorization',
          'Content-Type',
          'If-Match',
          'If-None-Match',
          'X-Request-ID',
          'traceparent',
        ],
        exposedHeaders: [
          'ETag',
          'Link',
          'Location',
          'RateLimit',
          'RateLimit-Policy',
          'Retry-After',
          'X-Process-Time',
          'X-Request-ID',
        ],
        maxAgeSeconds: application.corsMaxAgeSeconds,
      }),
    },
    {
      name: 'rate-limit',
      guide: '2',
      purpose: 'Limits the requests of one address, exactly',
      ends: '429',
      needs: 'proxy-headers, behind a proxy',
      run: rateLimit({
        log: httpLog,
        policies,
        store: parts.limitStore ?? createAddressLimitStore(settings, httpLog, parts.now),
      }),
    },
    {
      name: 'content-validation',
      guide: '3',
      purpose: 'Takes bodies only of the type and size that the route declares',
      ends: '400, 408, 413, 415',
      needs: '-',
      run: contentValidation(),
    },
    {
      name: 'compression',
      guide: 'gzip',
      purpose: 'Compresses answers from a size on',
      ends: '-',
      needs: '-',
      run: compression({ minBytes: application.compressionMinBytes }),
    },
    {
      name: 'etag',
      guide: '-',
      purpose: 'Answers conditional reads',
      ends: '304',
      needs: '-',
      run: etag(),
    },
  ];
  const unasked = new Set<string>();
  if (!security.rateLimitEnabled) unasked.add('rate-limit');
  if (application.corsAllowOrigins.length === 0) unasked.add('cors');
  if (!(application.isProduction && security.enforceHttps && security.trustProxyHeaders))
    unasked.add('https-policy');
  return layers.map((layer) => ({
    ...layer,
    enabled: !disabled.has(layer.name) && !unasked.has(layer.name),
  }));
}

/** The limit of one address: so many in any minute, bursts included, and so many in any hour. */
export function addressPolicies({ security }: Settings): Policy[] {
  return [
    { name: 'minute', quota: security.rateLimitPerMinute + security.rateLimitBurst, windowMs: 60_000 },
    { name: 'hour', quota: security.rateLimitPerHour, windowMs: 3_600_000 },
  ];
}

/** The windows of all addresses, in this process. */
export function createAddressLimitStore(
  settings: Settings,
  log: Logger,
  now: () => number = () => performance.now(),
): MemoryLimitStore {
  return createMemoryLimitStore({
    policies: addressPolicies(settings),
    maxClients: settings.security.rateLimitMaxClients,
    now,
    onCleanup: (counts) => log.debug('rate_limit.cleanup', counts),
  });
}
