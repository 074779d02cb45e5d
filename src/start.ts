/**
 * Opens everything in order and says where it can be reached; the returned `stop` closes it in reverse. `main.ts`
 * calls this, and so does every test that wants a server.
 *
 *     embedded PostgreSQL  ->  migrations  ->  mail  ->  connection pool  ->  application  ->  listening socket
 *
 * Stopping drains: readiness fails, no new connection is taken, requests in flight finish within the grace time,
 * then the pool closes, the mails that are left go out, and PostgreSQL stops. Whatever fails on the way up closes what
 * is open already.
 */

import { type AppParts, createApp } from './app.ts';
import { createChores } from './chores.ts';
import { openDatabaseServer } from './database-server.ts';
import { connectDatabase, type Database } from './db/database.ts';
import { pendingMigrations } from './db/migrate.ts';
import { AppError, StartError } from './errors.ts';
import type { HealthCheck } from './features/health/health.ts';
import { startHousekeeping } from './housekeeping.ts';
import type { Context } from './http/context.ts';
import { createHttpServer } from './http/server.ts';
import { createIdentity } from './identity.ts';
import { createLifecycle } from './lifecycle.ts';
import { signingSecrets } from './local-secret.ts';
import type { Mailer } from './mail/mailer.ts';
import { openMail } from './mail-delivery.ts';
import type { Logger } from './observability/logger.ts';
import { maskEmails } from './observability/redact.ts';
import type { Settings } from './settings/load.ts';

export interface StartOptions extends Pick<AppParts, 'extraRoutes' | 'limitStore' | 'now' | 'passwords'> {
  readonly settings: Settings;
  readonly log: Logger;
  /** The database to connect to, if somebody else has made it ready: the primary of several workers. */
  readonly databaseUrl?: string | null;
  /** How mail leaves, instead of the settings' way; null for not at all. */
  readonly mailer?: Mailer | null;
}

export interface RunningServer {
  /** Where the server listens: `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly database: Database;
  /** Requests that have not been answered yet. */
  inFlight(): number;
  /** Drains and closes everything. Idempotent; never rejects. */
  stop(): Promise<void>;
}

const databaseCloseMs = 5_000;
const hourMs = 3_600_000;

/** Throws a StartError for what the operator can mend: a taken port, a wrong database, a failing migration. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { settings, log } = options;
  const { application, server } = settings;
  const lifecycle = createLifecycle(log);
  log.info('application.startup', { version: application.projectVersion });

  try {
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
        'housekeeping',
        async () => startHousekeeping({ chores: createChores(database), everyMs: hourMs, log }),
        (started) => started.stop(),
        databaseCloseMs,
      );
    }

    let draining = false;
    const app = createApp({
      ...options,
      database,
      mail,
      identity: createIdentity({ settings, database, log, secrets: signingSecrets(settings) }),
      healthChecks: [
        { name: 'server', required: true, run: async () => refuseIf(draining) },
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
      maxConnections: server.maxConnections,
      blockNullBytes: settings.security.blockNullBytes,
      onMalformed: ({ clientAddress, ...report }) =>
        log.info('http.client.malformed', { client_address: clientAddress, ...report }),
      onStreamError: (ctx, error) => log.warning('http.response.aborted', { ...identify(ctx), error }),
      onPipelineError: (ctx, error) => log.error('http.request.failed', { ...identify(ctx), error }),
    });
    const port = await lifecycle.open(
      'server',
      () => http.listen(server.port, server.host).catch((error: unknown) => refuseToListen(error, settings)),
      async () => {
        draining = true;
        log.info('application.draining', { in_flight: http.inFlight() });
        const cut = await http.close(server.shutdownGraceSeconds * 1000);
        if (cut > 0) log.warning('application.draining', { cut });
      },
      server.shutdownGraceSeconds * 1000 + 1000,
    );

    const url = `http://${server.host.includes(':') ? `[${server.host}]` : server.host}:${port}`;
    log.info('application.ready', { url });
    return {
      url,
      database,
      inFlight: http.inFlight,
      async stop() {
        await lifecycle.closeAll();
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
    { name: 'database', required: true, run: () => database.ping(readinessMs) },
    {
      name: 'migrations',
      required: true,
      async run() {
        const pending = await pendingMigrations(database.sql);
        if (pending.length > 0)
          throw new AppError(
            'not_ready',
            `${pending.length} migrations are pending; run \`npm run migrate -- up\`.`,
          );
      },
    },
  ];
}

function refuseIf(draining: boolean): void {
  if (draining) throw new AppError('shutting_down', 'The server is about to stop.');
}

function refuseToListen(error: unknown, { server }: Settings): never {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const where = `${server.host}:${server.port}`;
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${server.port} on ${server.host} is taken by another process. Stop it, or set APP_PORT (or --port) to a free one.`,
    EACCES: `This user may not listen on ${where}. Set APP_PORT (or --port) to 1024 or above.`,
    EADDRNOTAVAIL: `This machine has no address ${server.host}. Set APP_HOST (or --host) to one of its own, such as 127.0.0.1 or 0.0.0.0.`,
    ENOTFOUND: `The name ${server.host} is not known. Set APP_HOST (or --host) to an address of this machine.`,
  };
  const sentence = typeof code === 'string' ? sentences[code] : undefined;
  if (sentence === undefined) throw error;
  throw new StartError(sentence, { cause: error });
}

function identify(ctx: Context): { request_id: string; method: string; path: string } {
  return { request_id: ctx.id, method: ctx.method, path: maskEmails(ctx.target.path) };
}
