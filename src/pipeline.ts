/**
 * The pipeline in its order, and how settings become the options of its layers. A new layer gets its place in the
 * array below, and its name in `settings/layer-names.ts`.
 */

import type { Database } from './db/database.ts';
import type { Layer } from './http/context.ts';
import { methods } from './http/route.ts';
import { createIdempotencyStore } from './idempotency/postgres.ts';
import type { Limit, LimitStore } from './limits/limit-store.ts';
import { authenticate } from './middleware/authenticate.ts';
import { authorise } from './middleware/authorise.ts';
import { callerLimit } from './middleware/caller-limit.ts';
import { compression } from './middleware/compression.ts';
import { contentValidation } from './middleware/content-validation.ts';
import { type CorsOptions, cors } from './middleware/cors.ts';
import { deadline } from './middleware/deadline.ts';
import { errorBoundary } from './middleware/error-boundary.ts';
import { etag } from './middleware/etag.ts';
import { httpsPolicy } from './middleware/https-policy.ts';
import { idempotency } from './middleware/idempotency.ts';
import { messageErrors } from './middleware/message-errors.ts';
import { countRequests } from './middleware/metrics.ts';
import { proxyHeaders } from './middleware/proxy-headers.ts';
import { rateLimit } from './middleware/rate-limit.ts';
import { recheckAuthority } from './middleware/recheck-authority.ts';
import { requestId } from './middleware/request-id.ts';
import { requestLog } from './middleware/request-log.ts';
import { securityHeaders } from './middleware/security-headers.ts';
import { trustedHost } from './middleware/trusted-host.ts';
import type { Logger } from './observability/logger.ts';
import type { Metrics } from './observability/metrics/metrics.ts';
import type { Identity } from './program/identity.ts';
import type { Settings } from './settings/load.ts';

export interface PipelineParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly database: Database;
  readonly identity: Identity;
  /** Where permits are counted. */
  readonly limitStore: LimitStore;
  /** Where requests are counted. */
  readonly metrics: Metrics;
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

/** The pipeline, outermost first. The order is the promise: a test holds it, and the documentation shows it. */
export function pipelineLayers(parts: PipelineParts): AppLayer[] {
  const { settings, log, limitStore } = parts;
  const { application, security, server } = settings;
  const disabled = new Set<string>(application.disabledLayers);
  const httpLog = log.named('http');
  const { projectName: realm } = application;
  const { apiKeyHeader } = security;

  const layers: Omit<AppLayer, 'enabled'>[] = [
    {
      name: 'metrics',
      guide: 'Metrics',
      purpose: 'Counts every answer with its time and sizes, by method, route and status',
      ends: '-',
      needs: '-',
      run: countRequests(parts.metrics),
    },
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
        trusted: trustedProxies(settings),
      }),
    },
    {
      name: 'security-headers',
      guide: '1',
      purpose: 'Tells browsers what the answer must not be used for',
      ends: '-',
      needs: 'proxy-headers, for HSTS',
      run: securityHeaders({
        hsts: security.enableHsts,
        hstsPreload: security.hstsPreload,
        contentSecurityPolicy: security.enableCsp ? security.cspPolicy : undefined,
        server: security.serverHeader,
      }),
    },
    {
      name: 'trusted-host',
      guide: '6, part of 3',
      purpose: 'Finds requests for hosts not served here',
      ends: '-',
      needs: '-',
      run: trustedHost({ allowed: application.allowedHosts }),
    },
    {
      name: 'cors',
      guide: '7',
      purpose: 'Lets pages of listed origins read the answers',
      ends: '204 (preflight)',
      needs: '-',
      run: cors({
        ...corsPolicy(settings),
        methods: [...methods, 'HEAD'],
        allowedHeaders: [
          'Authorization',
          'Content-Type',
          'Idempotency-Key',
          'If-Match',
          'If-None-Match',
          'Last-Event-ID',
          'X-Request-ID',
          'traceparent',
          apiKeyHeader,
        ],
        exposedHeaders: [
          'ETag',
          'Idempotency-Replayed',
          'Link',
          'Location',
          'RateLimit',
          'RateLimit-Policy',
          'Retry-After',
          'WWW-Authenticate',
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
      ends: '429, 503',
      needs: 'proxy-headers, behind a proxy',
      run: rateLimit({ log: httpLog, limit: addressLimit(settings), store: limitStore }),
    },
    {
      name: 'message-errors',
      guide: 'part of 3',
      purpose: 'Refuses what is wrong with the message as a whole: framing, size, target, Host',
      ends: '400, 414, 417, 421, 431, 501',
      needs: 'trusted-host, for 421',
      run: messageErrors(),
    },
    {
      name: 'https-policy',
      guide: '-',
      purpose: 'Sends plain HTTP to HTTPS, and refuses it with credentials',
      ends: '308, 403',
      needs: 'proxy-headers',
      run: httpsPolicy({ apiKeyHeader }),
    },
    {
      name: 'authenticate',
      guide: '5',
      purpose: 'Finds out who asks, from an access token or an API key',
      ends: '400, 401',
      needs: '-',
      run: authenticate({ log: httpLog, authenticator: parts.identity.authenticator, realm, apiKeyHeader }),
    },
    {
      name: 'authorise',
      guide: '5',
      purpose: 'Lets in whom the route wants: signed in or by key, of a role, with scopes',
      ends: '401, 403',
      needs: 'authenticate',
      run: authorise({ log: httpLog, realm, apiKeyHeader }),
    },
    {
      name: 'caller-limit',
      guide: '2',
      purpose: 'Limits the requests of one user over all addresses, and holds the limits that routes declare',
      ends: '429, 503',
      needs: 'authenticate, for users',
      run: callerLimit({
        log: httpLog,
        store: limitStore,
        userPerMinute: security.rateLimitUserPerMinute,
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
      purpose: 'Evaluates the conditions of reads, and of writes to what has no entity tag',
      ends: '304, 412',
      needs: '-',
      run: etag(),
    },
    {
      name: 'recheck-authority',
      guide: '-',
      purpose: 'Asks the database again who the caller is, before anything is changed',
      ends: '401, 403, 503',
      needs: 'authenticate',
      run: recheckAuthority({ log: httpLog }),
    },
    {
      name: 'idempotency',
      guide: '-',
      purpose: 'Does a request with an Idempotency-Key once, and answers its repetition the same',
      ends: '400, 409, 422, 503, a replay',
      needs: 'a database; authenticate, for users',
      run: idempotency({
        log: httpLog,
        store: createIdempotencyStore({
          database: parts.database,
          leaseMs: (server.requestTimeoutSeconds + 10) * 1000,
        }),
      }),
    },
  ];
  const unasked = new Set<string>();
  if (!security.rateLimitEnabled) unasked.add('rate-limit').add('caller-limit');
  if (application.corsAllowOrigins.length === 0) unasked.add('cors');
  if (!security.enforceHttps) unasked.add('https-policy');
  return layers.map((layer) => ({
    ...layer,
    enabled: !disabled.has(layer.name) && !unasked.has(layer.name),
  }));
}

/** The proxies whose headers count. */
export function trustedProxies({ security }: Settings): readonly string[] {
  return security.trustProxyHeaders ? security.trustedProxies : [];
}

/** The limit of one address: so many in any minute, bursts included, and so many in any hour. */
/** Which pages may read the answers. */
export function corsPolicy({ application }: Settings): Pick<CorsOptions, 'origins' | 'credentials'> {
  return { origins: application.corsAllowOrigins, credentials: application.corsAllowCredentials };
}

export function addressLimit({ security }: Settings): Limit {
  return {
    name: 'address',
    policies: [
      { name: 'minute', quota: security.rateLimitPerMinute + security.rateLimitBurst, windowMs: 60_000 },
      { name: 'hour', quota: security.rateLimitPerHour, windowMs: 3_600_000 },
    ],
  };
}
