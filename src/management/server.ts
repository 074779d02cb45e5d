/**
 * The management port: what a platform asks of the program, apart from what users ask.
 *
 *     /livez      200 as long as the supervising process answers     no: restart the whole
 *     /readyz     200 while workers answer, else 503                 no: send no traffic here
 *     /metrics    all processes together, in Prometheus' text format
 *     /workers    each process: state, age, requests, memory, event-loop lag
 *     /jobs       pages for a person: what the queue does, and did (page.ts, routes.ts)
 *
 * It stands in the process that supervises the workers and runs no user code, so it answers while every worker is
 * blocked: then `/livez` stays 200, for a restart of the whole would only end what can recover, and the watchdog
 * replaces single workers; `/readyz` turns 503. Neither asks the database: all copies of the service share it, and an
 * outage would take them all from the balancer at once, which helps nobody (`/health/ready` on the public port does
 * ask). In a single process the port shares the event loop with the requests, and is blocked with them.
 *
 * It is our own `http/`, with its rules for framing and Host, and with no pipeline but this file: no request log, since
 * probes come every second, and no limit but that of wrong tokens (token-guesses.ts). The port is for the inside: by
 * default only this machine reaches it, a token guards what is not a probe, and only hosts are answered that somebody has
 * chosen (allowed-hosts.ts).
 *
 * Probes must be answered while others hold connections, since a platform restarts what does not answer. When all places
 * are taken, the connection that is idle longest is closed for a new one (http/connection/connections.ts), and requests other than
 * probes are refused before they have taken every place: event streams of the pages go on for hours.
 */

import type { Fleet } from '../cluster/fleet.ts';
import { AppError } from '../errors.ts';
import type { Context, Done } from '../http/context.ts';
import { dispatch, prepareRoute } from '../http/dispatch.ts';
import { createRouter } from '../http/router.ts';
import { createHttpServer } from '../http/server.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { Logger } from '../observability/logger.ts';
import { createManagementHosts } from './allowed-hosts.ts';
import { jobsPageRoutes } from './jobs/page.ts';
import { type JobsSource, jobsRoutes } from './jobs/routes.ts';
import { requireToken } from './require-token.ts';
import { managementRoutes } from './routes.ts';
import { createTokenGuesses } from './token-guesses.ts';

export interface ManagementOptions {
  readonly fleet: Fleet;
  readonly log: Logger;
  /** What `/metrics` and `/workers` ask for; empty for nothing. */
  readonly token: string;
  /** How many connections are open at once. Default 256. */
  readonly maxConnections?: number;
  /** The address or the name that the port is to be opened on. */
  readonly host: string;
  /** Hosts that requests may name beside those that follow from `host`. */
  readonly allowedHosts: readonly string[];
  /** Milliseconds of a clock that does not run backwards. */
  readonly now?: () => number;
  /** What the pages of the jobs show, and whether only this machine reaches the port; without, there are no such pages. */
  readonly jobs?: { readonly source: JobsSource; readonly loopback: boolean };
}

export interface ManagementServer {
  /** Listens. Rejects with the system's error: EADDRINUSE, EACCES. Returns the port that was given. */
  listen(port: number, host: string): Promise<number>;
  /** Answers what is under way, and ends. Never rejects. */
  close(): Promise<void>;
}

/** Short, so that clients which ask now and then leave their places to others; scrapers connect again. */
const keepAliveMs = 5_000;
const usualConnections = 256;
/** Of the places, those that only probes are answered on: an eighth. */
const shareOfProbes = 8;
const arrivalMs = 5_000;
const closeMs = 1_000;

/** Makes the server; it does not listen yet. Throws if the files of the pages cannot be read. */
export function createManagementServer(options: ManagementOptions): ManagementServer {
  const {
    fleet,
    log,
    token,
    jobs,
    now = () => performance.now(),
    maxConnections = usualConnections,
  } = options;
  const guard = requireToken({ token, guesses: createTokenGuesses(now), log });
  const isAllowed = createManagementHosts(options.host, options.allowedHosts);
  const maxOtherConnections = maxConnections - Math.ceil(maxConnections / shareOfProbes);
  const noBody = { maxBytes: 0, timeoutMs: arrivalMs };
  const routes = [
    ...managementRoutes({ fleet, guard }),
    ...(jobs === undefined
      ? []
      : [...jobsPageRoutes(), ...jobsRoutes({ ...jobs, hasToken: token !== '', guard, log })]),
  ];

  /** The whole pipeline. What is thrown becomes a problem in the server, which is the net under it. */
  function answer(ctx: Context): Done {
    ctx.headers['cache-control'] = 'no-store';
    ctx.headers['x-content-type-options'] = 'nosniff';
    if (!ctx.isProbe && http.inFlight() > maxOtherConnections) {
      throw new AppError('overloaded', 'Too many requests are under way on the management port: try again.', {
        layer: 'management',
        headers: { 'retry-after': '1', connection: 'close' },
      });
    }
    if (ctx.messageError === undefined && !ctx.isProbe && !isAllowed(ctx.host)) {
      throw new AppError(
        'misdirected_request',
        'This port does not answer to the host that the request names: use its address or localhost, or add the name to APP_MANAGEMENT_ALLOWED_HOSTS.',
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
