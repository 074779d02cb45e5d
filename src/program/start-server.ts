/**
 * Starts a server: opens its parts in order. The returned `stop` closes them in reverse. Every role that answers requests
 * calls it, and so does every test that needs a server.
 *
 *     embedded PostgreSQL  ->  migrations  ->  mail  ->  connection pool  ->  Redis, cache, HTTP client  ->  application  ->  listening socket
 *
 * Stopping drains: readiness fails, new connections are rejected, requests in progress finish within the grace time, then
 * the pool closes, queued mails are sent, and PostgreSQL stops. If a part fails to open, the parts opened before are closed.
 */

import { type AppParts, createApp, createLimitStore } from '../app.ts';
import type { InvalidationBus } from '../cache/invalidation-bus.ts';
import type { LoadChannel } from '../cache/shared-load.ts';
import type { Database } from '../db/database.ts';
import { createRetentionRules, scopes } from '../declarations.ts';
import { createIdentity } from '../features/identity/identity.ts';
import { createAddressSet, httpOrigin } from '../http/connection/addresses.ts';
import type { Context } from '../http/context.ts';
import { createHttpServer } from '../http/server.ts';
import type { Mailer } from '../mail/mailer.ts';
import { createCircuitMetrics } from '../observability/circuit-set.ts';
import { reportCutConnections, reportRefusedConnections } from '../observability/closed-connections.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { LogFields, Logger } from '../observability/logger.ts';
import { createMetrics, type Metrics } from '../observability/metrics/metrics.ts';
import { startRuntimeMetrics } from '../observability/metrics/runtime-metrics.ts';
import { observeSaturation } from '../observability/metrics/saturation-metrics.ts';
import { probedCircuit } from '../observability/probed-circuit.ts';
import { idFields } from '../observability/request-context.ts';
import { createShortageReport, type ReportShortage } from '../observability/shortage.ts';
import type { Settings } from '../settings/load.ts';
import { databasePingMs } from './alerts/evaluation-interval.ts';
import { createLifecycle } from './lifecycle.ts';
import { openLocalBans } from './parts/bans/open-bans.ts';
import { connectFromSettings } from './parts/connect-from-settings.ts';
import { connectionLimits, readFileLimit } from './parts/connection-limits.ts';
import { startDatabaseMonitor } from './parts/database-monitor.ts';
import { healthChecks } from './parts/health-checks.ts';
import { publicTarget, toListenError } from './parts/listen-error.ts';
import { openCache } from './parts/open-cache.ts';
import { openDatabaseServer } from './parts/open-database.ts';
import { openGeoip } from './parts/open-geoip.ts';
import { openHttpClient, outgoingCheck } from './parts/open-http-client.ts';
import { openLimitStore } from './parts/open-limit-store.ts';
import { openMail } from './parts/open-mail.ts';
import { openSharedRedis, redisCheck } from './parts/open-redis.ts';
import { startPruner } from './parts/pruner.ts';
import { signingSecrets } from './parts/signing-secrets.ts';
import { stopLimits } from './stop-limits.ts';

export interface StartOptions
  extends Pick<
    AppParts,
    'bans' | 'extraRoutes' | 'fleetMetrics' | 'limitStore' | 'now' | 'passwords' | 'queue'
  > {
  readonly settings: Settings;
  readonly log: Logger;
  /** The database that the supervisor has opened; null if there is none. Without it, the server opens its own. */
  readonly databaseUrl?: string | null;
  /** Sends mail instead of the mailer of the settings; null for no mail. */
  readonly mailer?: Mailer | null;
  /** Reaches the other workers of the node; by default there are none. */
  readonly nodeBus?: InvalidationBus;
  /** Coordinates the loads of cached values with the other workers of the node; by default there are none. */
  readonly nodeLoads?: LoadChannel;
  /** The registry of the process, if there is one already. */
  readonly metrics?: Metrics;
  /** The shortage report of the process, if there is one already. */
  readonly reportShortage?: ReportShortage;
}

export interface RunningServer {
  /** The address where the server listens: `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly database: Database;
  /** The number of requests received. */
  requests(): number;
  /** The number of requests not answered yet. */
  inFlight(): number;
  /** Drains and closes everything. Idempotent: a second call returns the first promise. Never rejects. */
  stop(options?: StopOptions): Promise<void>;
}

export interface StopOptions {
  /**
   * How long idle connections stay open for a last request, in milliseconds; see http/connection/drain.ts. The default of
   * 200 is for a stop of the whole program, and for a worker that still accepts a removed secret. Another worker that is
   * replaced uses the whole keep-alive time.
   */
  readonly lingerMs?: number;
}

const stopLingerMs = 200;

const databaseCloseMs = 5_000;
const hourMs = 3_600_000;

/** Rejects with a StartError for an error that the operator can fix: a taken port, a wrong database, a failed migration. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { settings, log } = options;
  const { application, server } = settings;
  const metrics = options.metrics ?? createMetrics();
  const reportShortage = options.reportShortage ?? createShortageReport(log, metrics);
  const limits = connectionLimits(settings, readFileLimit());
  const lifecycle = createLifecycle(log);
  log.info('application.startup', { version: application.projectVersion });

  try {
    await lifecycle.open(
      'runtime metrics',
      async () => startRuntimeMetrics({ metrics, version: application.projectVersion }),
      async (started) => started.stop(),
      databaseCloseMs,
    );
    const databaseUrl =
      options.databaseUrl === undefined
        ? await openDatabaseServer(settings, log, lifecycle)
        : options.databaseUrl;
    const circuitMetrics = createCircuitMetrics(metrics);
    const { mail, check: mailCheck } = await openMail({
      ...{ settings, log, circuitMetrics, lifecycle },
      mailer: options.mailer,
    });
    const database = await lifecycle.open(
      'database',
      async () =>
        connectFromSettings(settings, {
          url: databaseUrl,
          poolSize: application.databasePoolSize,
          maxWaiting: application.databasePoolQueue,
          maxWaitMs: application.databasePoolWaitMs,
          log: log.named('database'),
          createCircuit: probedCircuit({
            ...{ kind: 'database', name: 'postgres', openMs: 100, maxOpenMs: 1_000 },
            ...{ log: log.named('database'), metrics: circuitMetrics },
            advice: 'Requests that need the database get 503 at once until it answers again.',
          }),
        }),
      (opened) => opened.close(databaseCloseMs / 1000 - 1),
      databaseCloseMs,
    );

    if (databaseUrl !== null) {
      await lifecycle.open(
        'database monitor',
        async () => startDatabaseMonitor({ database, metrics, everyMs: databasePingMs(settings) }),
        async (stop) => stop(),
        databaseCloseMs,
      );
      await lifecycle.open(
        'pruner',
        async () =>
          startPruner({ rules: createRetentionRules({ database, settings }), everyMs: hourMs, log }),
        (started) => started.stop(),
        databaseCloseMs,
      );
    }

    const redis = await openSharedRedis(settings, log, lifecycle);
    const limitStore = await openLimitStore({
      ...{ settings, log: log.named('http'), metrics, circuitMetrics, lifecycle, databaseUrl, redis },
      local: options.limitStore ?? createLimitStore(settings, log.named('http'), options.now),
    });

    const cache = await openCache({
      ...{ settings, log, metrics, circuitMetrics, lifecycle, redis },
      nodeBus: options.nodeBus,
      nodeLoads: options.nodeLoads,
    });

    const httpClient = await lifecycle.open(
      'outgoing requests',
      async () => openHttpClient({ settings, log, metrics, circuitMetrics }),
      async (opened) => opened.close(),
      databaseCloseMs,
    );
    const countries = await openGeoip(settings, log, metrics, lifecycle);
    const bans = options.bans ?? openLocalBans(settings, log, metrics);

    let isDraining = false;
    let lingerMs = stopLingerMs;
    const app = createApp({
      ...options,
      metrics,
      database,
      mail,
      limitStore: limitStore.store,
      cache: cache.cache,
      httpClient,
      circuitMetrics,
      findCountry: countries?.find,
      bans,
      identity: createIdentity({
        database,
        bus: cache.bus,
        log,
        scopes,
        secrets: signingSecrets(settings),
        realm: application.projectName,
        security: settings.security,
      }),
      healthChecks: [
        ...healthChecks({ database, hasDatabase: databaseUrl !== null, isDraining: () => isDraining }),
        redisCheck(redis),
        limitStore.check,
        cache.check,
        mailCheck,
        outgoingCheck(httpClient),
      ],
    });
    const http = createHttpServer({
      pipeline: app.pipeline,
      router: app.router,
      headersTimeoutMs: server.headersTimeoutSeconds * 1000,
      requestTimeoutMs: (server.headersTimeoutSeconds + server.bodyTimeoutSeconds) * 1000,
      keepAliveMs: server.keepAliveSeconds * 1000,
      stallTimeoutMs:
        (server.headersTimeoutSeconds + server.bodyTimeoutSeconds + server.requestTimeoutSeconds) * 1000,
      sendTimeoutMs: server.sendTimeoutSeconds * 1000,
      maxHeaderBytes: server.maxHeaderBytes,
      maxHeaderCount: server.maxHeaderCount,
      maxConnections: limits.max,
      maxConnectionsPerAddress: limits.maxPerAddress,
      isExemptAddress: createAddressSet(settings.security.trustedProxies),
      onRejected: reportRefusedConnections(log, metrics),
      onCut: reportCutConnections(log, metrics),
      onAcceptError(error) {
        if (!reportShortage(error)) log.error('http.connection.refused', { reason: 'accept', error });
      },
      blockNullBytes: settings.security.blockNullBytes,
      onMalformed: app.onMalformed,
      malformedFieldsFor: app.malformedFieldsFor,
      onStreamError: (ctx, error) => log.warning('http.response.aborted', { ...requestFields(ctx), error }),
      onPipelineError: (ctx, error) => log.error('http.request.failed', { ...requestFields(ctx), error }),
    });
    observeSaturation({ metrics, inFlight: http.inFlight, pool: database.stats, refused: database.refused });
    const port = await lifecycle.open(
      'server',
      () =>
        http.listen(server.port, server.host).catch((error: unknown) => {
          throw toListenError(error, publicTarget(settings));
        }),
      async () => {
        isDraining = true;
        log.info('application.draining', { in_flight: http.inFlight() });
        const aborted = await http.close({ graceMs: server.shutdownGraceSeconds * 1000, lingerMs });
        if (aborted > 0) log.warning('application.draining', { aborted });
      },
      server.shutdownGraceSeconds * 1000 + 1000,
    );

    const url = httpOrigin(server.host, port);
    log.info('application.ready', { url });
    return {
      url,
      database,
      requests: http.requests,
      inFlight: http.inFlight,
      async stop(stopOptions = {}) {
        lingerMs = stopOptions.lingerMs ?? stopLingerMs;
        await lifecycle.closeAll(server.shutdownGraceSeconds * 1000 + stopLimits.parts);
        log.info('application.shutdown');
      },
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}

/** Identifies a request in the log. */
function requestFields(ctx: Context): LogFields {
  return { ...idFields(ctx), method: ctx.method, path: showPath(ctx.target.path) };
}
