/**
 * Opens everything in order and says where it can be reached; the returned `stop` closes it in reverse. `server-program.ts`
 * calls this, and so does every test that wants a server.
 *
 *     embedded PostgreSQL  ->  migrations  ->  mail  ->  connection pool  ->  application  ->  listening socket
 *
 * Stopping drains: readiness fails, no new connection is taken, requests in flight finish within the grace time,
 * then the pool closes, the mails that are left go out, and PostgreSQL stops. Whatever fails on the way up closes what
 * is open already.
 */

import { type AppParts, createApp } from '../app.ts';
import { connectDatabase, type Database } from '../db/database.ts';
import { findUnsuitability } from '../db/suitability.ts';
import { createRetentionRules, scopes } from '../declarations.ts';
import { AppError } from '../errors.ts';
import type { HealthCheck } from '../features/health/health.ts';
import { createIdentity } from '../features/identity/identity.ts';
import { createAddressSet, httpOrigin } from '../http/addresses.ts';
import type { Context } from '../http/context.ts';
import { createHttpServer } from '../http/server.ts';
import type { Mailer } from '../mail/mailer.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { Logger } from '../observability/logger.ts';
import { createMetrics, type Metrics } from '../observability/metrics/metrics.ts';
import { startRuntimeMetrics } from '../observability/metrics/runtime-metrics.ts';
import { observeSaturation } from '../observability/metrics/saturation-metrics.ts';
import { reportRefusedConnections } from '../observability/refused-connections.ts';
import { createShortageReport, type ReportShortage } from '../observability/shortage.ts';
import type { Settings } from '../settings/load.ts';
import { connectionLimits, readFileLimit } from './connection-limits.ts';
import { findPending } from './database-check.ts';
import { createLifecycle } from './lifecycle.ts';
import { rejectListenError } from './listen-error.ts';
import { openDatabaseServer } from './open-database.ts';
import { openMail } from './open-mail.ts';
import { startPruner } from './pruner.ts';
import { signingSecrets } from './signing-secrets.ts';
import { stopLimits } from './stop-limits.ts';

export interface StartOptions
  extends Pick<AppParts, 'extraRoutes' | 'fleetMetrics' | 'limitStore' | 'now' | 'passwords' | 'queue'> {
  readonly settings: Settings;
  readonly log: Logger;
  /** The database to connect to, if somebody else has made it ready: the primary of several workers. */
  readonly databaseUrl?: string | null;
  /** How mail leaves, instead of the settings' way; null for not at all. */
  readonly mailer?: Mailer | null;
  /** Where everything is counted, if somebody else reads it too. */
  readonly metrics?: Metrics;
  /** The report of the process, if there is one already. */
  readonly reportShortage?: ReportShortage;
}

export interface RunningServer {
  /** Where the server listens: `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly database: Database;
  /** Requests that have been received. */
  requests(): number;
  /** Those of them that have not been answered yet. */
  inFlight(): number;
  /** Drains and closes everything. Idempotent: a second call gets the first one's promise. Never rejects. */
  stop(options?: StopOptions): Promise<void>;
}

export interface StopOptions {
  /**
   * How long idle connections are still listened to, in milliseconds; see http/connection/drain.ts. Default 200, for a stop of
   * everything. A worker that others take over from wants the whole keep-alive time.
   */
  readonly lingerMs?: number;
}

const stopLingerMs = 200;

const databaseCloseMs = 5_000;
const hourMs = 3_600_000;

/** Throws a StartError for what the operator can mend: a taken port, a wrong database, a failing migration. */
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
    const mail = await openMail(settings, log, lifecycle, options.mailer);
    const database = await lifecycle.open(
      'database',
      async () =>
        connectDatabase({
          url: databaseUrl,
          poolSize: application.databasePoolSize,
          maxWaiting: application.databasePoolQueue,
          maxWaitMs: application.databasePoolWaitMs,
          statementTimeoutMs: application.databaseStatementTimeoutMs,
          connectTimeoutSeconds: application.databaseConnectTimeoutSeconds,
          slowQueryMs: application.databaseSlowQueryMs,
          echo: application.databaseEcho,
          log: log.named('database'),
          applicationName: application.projectName,
        }),
      (opened) => opened.close(databaseCloseMs / 1000 - 1),
      databaseCloseMs,
    );

    if (databaseUrl !== null) {
      await lifecycle.open(
        'pruner',
        async () =>
          startPruner({ rules: createRetentionRules({ database, settings }), everyMs: hourMs, log }),
        (started) => started.stop(),
        databaseCloseMs,
      );
    }

    let draining = false;
    let lingerMs = stopLingerMs;
    const app = createApp({
      ...options,
      metrics,
      database,
      mail,
      identity: createIdentity({
        database,
        log,
        scopes,
        secrets: signingSecrets(settings),
        realm: application.projectName,
        security: settings.security,
      }),
      healthChecks: [
        { name: 'server', required: true, run: async () => assertNotDraining(draining) },
        ...databaseChecks(database, databaseUrl),
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
      maxHeaderBytes: server.maxHeaderBytes,
      maxHeaderCount: server.maxHeaderCount,
      maxConnections: limits.max,
      maxConnectionsPerAddress: limits.maxPerAddress,
      isExemptAddress: createAddressSet(settings.security.trustedProxies),
      onRefused: reportRefusedConnections(log, metrics),
      onAcceptError(error) {
        if (!reportShortage(error)) log.error('http.connection.refused', { reason: 'accept', error });
      },
      blockNullBytes: settings.security.blockNullBytes,
      onMalformed: app.onMalformed,
      malformedFieldsFor: app.malformedFieldsFor,
      onStreamError: (ctx, error) => log.warning('http.response.aborted', { ...identify(ctx), error }),
      onPipelineError: (ctx, error) => log.error('http.request.failed', { ...identify(ctx), error }),
    });
    observeSaturation({ metrics, inFlight: http.inFlight, pool: database.stats, refused: database.refused });
    const port = await lifecycle.open(
      'server',
      () =>
        http.listen(server.port, server.host).catch((error: unknown) =>
          rejectListenError(error, {
            host: server.host,
            port: server.port,
            hostSetting: 'APP_HOST (or --host)',
            portSetting: 'APP_PORT (or --port)',
          }),
        ),
      async () => {
        draining = true;
        log.info('application.draining', { in_flight: http.inFlight() });
        const cut = await http.close({ graceMs: server.shutdownGraceSeconds * 1000, lingerMs });
        if (cut > 0) log.warning('application.draining', { cut });
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
      async stop(how = {}) {
        lingerMs = how.lingerMs ?? stopLingerMs;
        await lifecycle.closeAll(server.shutdownGraceSeconds * 1000 + stopLimits.parts);
        log.info('application.shutdown');
      },
    };
  } catch (error) {
    await lifecycle.closeAll();
    throw error;
  }
}

/** How long readiness waits for the database: probes have short deadlines of their own. */
const readinessMs = 2000;

function databaseChecks(database: Database, url: string | null): HealthCheck[] {
  if (url === null) {
    const disabled = { required: false, run: undefined };
    return [
      { name: 'database', ...disabled },
      { name: 'migrations', ...disabled },
    ];
  }
  return [
    {
      name: 'database',
      required: true,
      async run() {
        await database.ping(readinessMs);
        const unsuitability = await findUnsuitability(database.probe);
        if (unsuitability !== undefined) throw new AppError('not_ready', unsuitability.sentence);
      },
    },
    {
      name: 'migrations',
      required: true,
      async run() {
        const problem = await findPending(database.probe);
        if (problem !== undefined) throw new AppError('not_ready', problem);
      },
    },
  ];
}

function assertNotDraining(draining: boolean): void {
  if (draining) throw new AppError('shutting_down', 'The server is about to stop.');
}

function identify(ctx: Context): { request_id: string; method: string; path: string } {
  return { request_id: ctx.id, method: ctx.method, path: showPath(ctx.target.path) };
}
