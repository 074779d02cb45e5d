/**
 * The pipeline: all layers in execution order, and how settings become their options. To add a layer, add it to the array
 * below and its name to `settings/layer-names.ts`.
 */

import { createExemptClients } from './bans/exempt-clients.ts';
import { noBans, type ProcessBans } from './bans/process-bans.ts';
import type { Database } from './db/database.ts';
import type { Identity } from './features/identity/identity.ts';
import type { FindCountry } from './geoip/country-finder.ts';
import type { Layer } from './http/context.ts';
import { methods } from './http/route-declaration.ts';
import { createIdempotencyStore } from './idempotency/postgres.ts';
import type { LimitStore } from './limits/limit-store.ts';
import { banList } from './middleware/bans/ban-list.ts';
import { createOffenceReporter } from './middleware/bans/offences.ts';
import { authenticate } from './middleware/caller/authenticate.ts';
import { authorise } from './middleware/caller/authorise.ts';
import { callerLimit } from './middleware/caller/caller-limit.ts';
import { recheckAuthority } from './middleware/caller/recheck-authority.ts';
import { circuitBreaker } from './middleware/circuit-breaker.ts';
import { compression } from './middleware/content/compression.ts';
import { contentValidation } from './middleware/content/content-validation.ts';
import { etag } from './middleware/content/etag.ts';
import { cors, createOriginFields } from './middleware/cors.ts';
import { deadline } from './middleware/deadline.ts';
import { errorBoundary } from './middleware/error-boundary.ts';
import { geoBlock } from './middleware/geo-block.ts';
import { httpsPolicy } from './middleware/https-policy.ts';
import { idempotency } from './middleware/idempotency.ts';
import { loadShedding } from './middleware/load-shedding.ts';
import { messageErrors } from './middleware/message-errors.ts';
import { countRequests } from './middleware/metrics.ts';
import { proxyHeaders } from './middleware/proxy-headers.ts';
import { rateLimit } from './middleware/rate-limit.ts';
import { requestId } from './middleware/request-id.ts';
import { requestLog } from './middleware/request-log.ts';
import { securityHeaders } from './middleware/security-headers.ts';
import { trustedHost } from './middleware/trusted-host.ts';
import type { CircuitSet } from './observability/circuit-set.ts';
import type { LoadShedder } from './observability/load-shedder.ts';
import type { Logger } from './observability/logger.ts';
import type { Metrics } from './observability/metrics/metrics.ts';
import { createRejectedClients } from './observability/rejected-clients.ts';
import { addressLimit, corsPolicy, neverBanned, trustedProxies, unusedLayers } from './pipeline-options.ts';
import type { Settings } from './settings/load.ts';

export interface PipelineParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly database: Database;
  readonly identity: Identity;
  /** Counts the permits of all limits. */
  readonly limitStore: LimitStore;
  /** Decides which requests are rejected under overload. */
  readonly loadShedder: LoadShedder;
  /** The circuits of the routes. */
  readonly routeCircuits: CircuitSet;
  /** Counts requests. */
  readonly metrics: Metrics;
  /** The bans that the layer `ban-list` enforces; by default there are none. */
  readonly bans?: ProcessBans | undefined;
  /** Finds the country of a client; required for requests if the settings enable it. */
  readonly findCountry?: FindCountry | undefined;
}

/** A layer with its description for the documentation (docs/pipeline.md). */
export interface AppLayer extends Layer {
  /** The purpose of the layer, in a few words. */
  readonly purpose: string;
  /** The statuses with which the layer itself may end a request. */
  readonly ends: string;
  /** The dependencies of the layer. */
  readonly needs: string;
  /** Whether the settings enable it. */
  readonly enabled: boolean;
}

/** Returns all layers, outermost first. A test asserts this order, and the documentation shows it. */
export function pipelineLayers(parts: PipelineParts): AppLayer[] {
  const { settings, log, limitStore, bans = noBans } = parts;
  const { application, security, server } = settings;
  const disabled = new Set<string>(application.disabledLayers);
  const httpLog = log.named('http');
  const rejected = createRejectedClients(httpLog);
  const { projectName: realm } = application;
  const { apiKeyHeader } = security;

  const layers: Omit<AppLayer, 'enabled'>[] = [
    {
      name: 'metrics',
      purpose: 'Counts every response with its duration and sizes, by method, route and status',
      ends: '-',
      needs: '-',
      run: countRequests(parts.metrics),
    },
    {
      name: 'load-shedding',
      purpose: 'Rejects requests while the process is overloaded, those of signed-in callers last',
      ends: '503',
      needs: 'authenticate, to know signed-in callers',
      run: loadShedding({
        shedder: parts.loadShedder,
        authenticator: parts.identity.authenticator,
        apiKeyHeader,
        fieldsFor: createOriginFields(corsPolicy(settings)),
      }),
    },
    {
      name: 'error-boundary',
      purpose: 'Converts every error thrown by an inner layer to a problem response',
      ends: '500, and the status of every other error',
      needs: '-',
      run: errorBoundary({
        log: httpLog,
        debug: application.debug,
        onError: security.enableBanList ? createOffenceReporter({ bans, apiKeyHeader }) : undefined,
      }),
    },
    {
      name: 'request-id',
      purpose: 'Assigns the request an id and its span in a trace, and adds both to every log line',
      ends: '-',
      needs: '-',
      run: requestId({ continuesTraces: application.traceContext === 'accept' }),
    },
    {
      name: 'request-log',
      purpose: 'Logs the start and the end of the request; sets X-Process-Time and Server-Timing',
      ends: '-',
      needs: '-',
      run: requestLog({
        log: httpLog,
        rejected,
        bodies: application.debug && log.enabled('DEBUG'),
        serverTiming: application.environment === 'local',
      }),
    },
    {
      name: 'deadline',
      purpose: 'Cancels the work when the client disconnects or the deadline passes',
      ends: '503',
      needs: '-',
      run: deadline({ timeoutMs: server.requestTimeoutSeconds * 1000 }),
    },
    {
      name: 'proxy-headers',
      purpose: 'Determines the client address, scheme and host behind trusted proxies',
      ends: '-',
      needs: '-',
      run: proxyHeaders({
        log: httpLog,
        trusted: trustedProxies(settings),
      }),
    },
    {
      name: 'security-headers',
      purpose: 'Sets the security headers for browsers',
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
      name: 'ban-list',
      purpose: 'Refuses clients that exceeded limits or failed to authenticate again and again, for a while',
      ends: '429',
      needs: 'proxy-headers, behind a proxy',
      run: banList({
        bans,
        exempt: createExemptClients(neverBanned(settings)),
        rejected,
        metrics: parts.metrics,
      }),
    },
    {
      name: 'trusted-host',
      purpose: 'Detects requests for hosts that this server does not serve',
      ends: '-',
      needs: '-',
      run: trustedHost({ allowed: application.allowedHosts }),
    },
    {
      name: 'geo-block',
      purpose: 'Rejects requests by the country of the client address',
      ends: '403',
      needs: 'proxy-headers, behind a proxy',
      run: geoBlock({
        find: parts.findCountry ?? failToFind,
        allowed: security.allowedCountries,
        blocked: security.blockedCountries,
        allowsUnknown: security.allowsUnknownCountries,
        rejected,
        metrics: parts.metrics,
      }),
    },
    {
      name: 'cors',
      purpose: 'Allows pages of listed origins to read the responses',
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
          'tracestate',
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
      purpose: 'Limits the requests per client address, exactly',
      ends: '429, 503',
      needs: 'proxy-headers, behind a proxy',
      run: rateLimit({ rejected, limit: addressLimit(settings), store: limitStore }),
    },
    {
      name: 'message-errors',
      purpose: 'Rejects messages that are invalid as a whole: framing, size, target, Host',
      ends: '400, 414, 417, 421, 431, 501',
      needs: 'trusted-host, for 421',
      run: messageErrors(),
    },
    {
      name: 'https-policy',
      purpose: 'Redirects plain HTTP to HTTPS, and rejects it if the request has credentials',
      ends: '308, 403',
      needs: 'proxy-headers',
      run: httpsPolicy({ apiKeyHeader }),
    },
    {
      name: 'authenticate',
      purpose: 'Identifies the caller by an access token or an API key',
      ends: '400, 401',
      needs: '-',
      run: authenticate({ ...parts, ...parts.identity, rejected, realm, apiKeyHeader }),
    },
    {
      name: 'authorise',
      purpose: 'Enforces what the route requires: a kind of credential, a role, scopes',
      ends: '401, 403',
      needs: 'authenticate',
      run: authorise({ log: httpLog, realm, apiKeyHeader }),
    },
    {
      name: 'caller-limit',
      purpose:
        'Limits the requests per user across all addresses, and enforces the limits that routes declare',
      ends: '429, 503',
      needs: 'authenticate, for users',
      run: callerLimit({
        rejected,
        store: limitStore,
        userPerMinute: security.rateLimitUserPerMinute,
      }),
    },
    {
      name: 'content-validation',
      purpose: 'Accepts only bodies of the type and size that the route declares',
      ends: '400, 408, 413, 415',
      needs: '-',
      run: contentValidation(),
    },
    {
      name: 'circuit-breaker',
      purpose: 'Rejects the requests of a route that fails repeatedly, until a trial succeeds',
      ends: '503',
      needs: 'content-validation, so that slow clients do not count as failures',
      run: circuitBreaker({ circuits: parts.routeCircuits, now: () => performance.now() }),
    },
    {
      name: 'compression',
      purpose: 'Compresses responses from a minimum size',
      ends: '-',
      needs: '-',
      run: compression({ minBytes: application.compressionMinBytes }),
    },
    {
      name: 'etag',
      purpose: 'Evaluates the conditions of reads, and of writes to resources without an entity tag',
      ends: '304, 412',
      needs: '-',
      run: etag(),
    },
    {
      name: 'recheck-authority',
      purpose: 'Checks the caller again in the database before a change',
      ends: '401, 403, 503',
      needs: 'authenticate',
      run: recheckAuthority({ log: httpLog }),
    },
    {
      name: 'idempotency',
      purpose:
        'Executes a request with an Idempotency-Key once, and replays the stored response when it is repeated',
      ends: '400, 409, 422, 503, a replayed response',
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
  const unused = unusedLayers(settings);
  return layers.map((layer) => ({
    ...layer,
    enabled: !disabled.has(layer.name) && !unused.has(layer.name),
  }));
}

/** A server without a database of countries must not let everyone pass. */
function failToFind(): never {
  throw new Error('The database of countries is not open.');
}
