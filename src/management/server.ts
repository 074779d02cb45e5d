/**
 * The management port: probes, metrics and the jobs dashboard, separate from the public port.
 *
 *     /           a page with links to the others; JSON for programs (index-page.ts)
 *     /livez      200 as long as the supervising process answers     failure: restart the program
 *     /readyz     200 while workers answer and no migration is pending, else 503
 *     /metrics    all processes together, in Prometheus' text format
 *     /workers    each process: state, age, requests, memory, event-loop lag
 *     /bans       the banned clients, and their changes (bans/routes.ts)
 *     /alerts     the firing alerts of the program
 *     /jobs       the jobs dashboard: current and past jobs (jobs/page.ts, jobs/routes.ts)
 *
 * It runs in the process that supervises the workers and runs no code of requests, so it answers while every worker is
 * blocked. Then `/readyz` returns 503, and `/livez` stays 200: the watchdog replaces single workers, and a restart of the
 * program would only stop what can recover. Neither waits for the database: all instances of the service share it, and an
 * outage would remove them all from the load balancer at once (`/health/ready` on the public port does check it). `/readyz` is
 * 503 while migrations are pending, which the supervising process finds out in the background. In a
 * single process the port shares the event loop with the requests, and is blocked with them.
 *
 * It uses our own `http/`, with its rules for framing and Host. This file is its whole pipeline: there is no request log,
 * since probes come every second, and no rate limit except that of wrong tokens (token-guesses.ts). The port is internal: by
 * default only this machine reaches it, a token guards everything except probes, and only configured hosts are answered
 * (allowed-hosts.ts).
 *
 * Probes must be answered while clients hold connections, since a platform restarts a program that does not answer. If all
 * connections are in use, the one idle longest is closed for a new one (http/connection/connections.ts). Requests other than
 * probes are rejected before they have taken every connection, since event streams can last for hours.
 */

import type { FiringAlert } from '../alerts/alert-evaluator.ts';
import type { BanDesk } from '../bans/ban-registry.ts';
import type { Fleet } from '../cluster/fleet.ts';
import { AppError } from '../errors.ts';
import type { Context, Done } from '../http/context.ts';
import { dispatch, prepareRoute } from '../http/dispatch.ts';
import { createRouter } from '../http/router.ts';
import { createHttpServer } from '../http/server.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { Logger } from '../observability/logger.ts';
import { createManagementHosts } from './allowed-hosts.ts';
import { banRoutes } from './bans/routes.ts';
import { indexRoute } from './index-page.ts';
import type { JobsAccessOptions } from './jobs/access.ts';
import type { JobsSource } from './jobs/data.ts';
import { jobsPageRoutes } from './jobs/page.ts';
import { jobsRoutes } from './jobs/routes.ts';
import { requireToken } from './require-token.ts';
import { managementRoutes } from './routes.ts';
import { createTokenGuesses } from './token-guesses.ts';

export interface ManagementOptions {
  readonly fleet: Fleet;
  readonly log: Logger;
  /** The token that everything except probes requires; empty if there is none. */
  readonly token: string;
  /** The maximum number of open connections. Default 256. */
  readonly maxConnections?: number;
  /** The address or name to listen on. */
  readonly host: string;
  /** Hosts that requests may name in addition to those that follow from `host`. */
  readonly allowedHosts: readonly string[];
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
  /** The banned clients; undefined if the ban list is off. */
  readonly bans?: BanDesk | undefined;
  /** The source of the jobs dashboard, and whether only this machine reaches the port. Without it there is no dashboard. */
  readonly jobs?: { readonly source: JobsSource; readonly loopback: boolean };
  /** Returns the firing alerts; undefined if alerting is off. */
  readonly alerts?: () => readonly FiringAlert[] | undefined;
}

export interface ManagementServer {
  /** Listens, and resolves with the port. Rejects with the system's error, such as EADDRINUSE or EACCES. */
  listen(port: number, host: string): Promise<number>;
  /** Answers the requests in progress, then closes. Never rejects. */
  close(): Promise<void>;
}

/** Short, so that occasional clients free their connections. Scrapers reconnect. */
const keepAliveMs = 5_000;
const defaultConnections = 256;
/** An eighth of the connections is reserved for probes. */
const shareOfProbes = 8;
const arrivalMs = 5_000;
const closeMs = 1_000;

/** Creates the server; it does not listen yet. Throws if the files of the dashboard cannot be read. */
export function createManagementServer(options: ManagementOptions): ManagementServer {
  const {
    fleet,
    log,
    token,
    jobs,
    bans,
    alerts = () => undefined,
    now = () => performance.now(),
    maxConnections = defaultConnections,
  } = options;
  const guesses = createTokenGuesses(now);
  const guard = requireToken({ token, where: 'APP_MANAGEMENT_TOKEN', guesses, log });
  const isAllowed = createManagementHosts(options.host, options.allowedHosts);
  const maxOtherConnections = maxConnections - Math.ceil(maxConnections / shareOfProbes);
  const noBody = { maxBytes: 0, timeoutMs: arrivalMs };
  const routes = [
    indexRoute({ hasJobs: jobs !== undefined, hasBans: bans !== undefined, hasToken: token !== '' }),
    ...managementRoutes({ fleet, guard, alerts }),
    ...(bans === undefined ? [] : banRoutes({ bans, assertMayRead: guard, assertMayChange })),
    ...(jobs === undefined
      ? []
      : [...jobsPageRoutes(), ...jobsRoutes({ ...jobs, ...rulesOf(jobs.source.localToken), log })]),
  ];

  function assertMayChange(ctx: Context): void {
    const rules = rulesOf(jobs?.source.localToken);
    if (rules.token === 'none') {
      throw new AppError(
        'forbidden',
        'Bans can only be read. To change them, set APP_MANAGEMENT_TOKEN and restart the server.',
        { layer: 'management' },
      );
    }
    rules.guard(ctx);
  }

  /** Returns the token that the dashboard requires for changes. */
  function rulesOf(localToken: string | null = null): Pick<JobsAccessOptions, 'token' | 'guard'> {
    if (token !== '') return { token: 'configured', guard };
    if (localToken === null) return { token: 'none', guard };
    const where = 'the file management-token in the data folder';
    return { token: 'local', guard: requireToken({ token: localToken, where, guesses, log }) };
  }

  /** The whole pipeline. The server turns an error that it throws into a problem. */
  function answer(ctx: Context): Done {
    ctx.headers['cache-control'] = 'no-store';
    ctx.headers['x-content-type-options'] = 'nosniff';
    if (!ctx.isProbe && http.inFlight() > maxOtherConnections) {
      throw new AppError(
        'overloaded',
        'Too many requests are in progress on the management port: try again.',
        {
          layer: 'management',
          headers: { 'retry-after': '1', connection: 'close' },
        },
      );
    }
    if (ctx.messageError === undefined && !ctx.isProbe && !isAllowed(ctx.host)) {
      throw new AppError(
        'misdirected_request',
        'This port does not serve the host that the request names: use its address or localhost, or add the name to APP_MANAGEMENT_ALLOWED_HOSTS.',
        { layer: 'management' },
      );
    }
    return dispatch(ctx);
  }

  const http = createHttpServer({
    pipeline: answer,
    router: createRouter(
      routes.map((route) => ({
        method: route.method,
        path: route.path,
        value: prepareRoute(route, noBody),
      })),
    ),
    headersTimeoutMs: arrivalMs,
    requestTimeoutMs: arrivalMs,
    keepAliveMs,
    stallTimeoutMs: 2 * arrivalMs,
    sendTimeoutMs: arrivalMs,
    maxHeaderBytes: 8_192,
    maxHeaderCount: 50,
    maxConnections,
    blockNullBytes: true,
    onMalformed: ({ clientAddress, reason, status }) =>
      log.info('http.client.malformed', { client_address: clientAddress, reason, status }),
    onStreamError: ({ target }, error) =>
      log.warning('http.response.aborted', { path: showPath(target.path), error }),
    onPipelineError: ({ method, target }, error) =>
      log.error('http.request.failed', { method, path: showPath(target.path), error }),
    onAcceptError: (error) => log.error('http.connection.refused', { reason: 'accept', error }),
  });
  return {
    listen: http.listen,
    async close() {
      await http.close({ graceMs: closeMs });
    },
  };
}
