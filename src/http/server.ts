/**
 * The HTTP server: `node:http` with limits, and a response to every input.
 *
 *     parser ──> parse the target ──> match the route ──> pipeline ──> send
 *        └── rejected by the parser: never becomes a request; malformed.ts responds on the socket
 *
 * An error of the message as a whole (message-error.ts) passes the pipeline like every request, as `ctx.messageError`, so that
 * it is logged and gets the usual headers.
 *
 * Timeouts: slow headers and silent sockets after `headersTimeoutMs`, idle connections after `keepAliveMs`, slow bodies at the
 * deadline of their reader, and responses that the client does not read after `sendTimeoutMs` (connection/slow-readers.ts).
 * Pipelined requests of one connection are handled one after the other (connection/pipelining.ts).
 *
 * `close` drains (connection/drain.ts): the server accepts no new connection, finishes the requests in flight with
 * `Connection: close`, and closes event streams, which would otherwise last as long as their clients.
 */

import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '../errors.ts';
import { createConnections, type RejectionReason } from './connection/connections.ts';
import { type DrainOptions, drain } from './connection/drain.ts';
import {
  closeSoon,
  type MalformedInput,
  type MalformedReport,
  replyToMalformed,
} from './connection/malformed.ts';
import { createMessageCheck } from './connection/message-error.ts';
import { createPipelining } from './connection/pipelining.ts';
import { closeSlowReaders } from './connection/slow-readers.ts';
import { Context, type Next, type PreparedRoute } from './context.ts';
import { EventStream } from './event-stream.ts';
import { replyWithProblem } from './problem.ts';
import type { Router } from './router.ts';
import { send } from './send.ts';
import { parseTarget } from './target.ts';

export interface ServerOptions {
  /** The pipeline, which ends in `dispatch`. It should not throw; an error that it throws becomes a 500. */
  readonly pipeline: Next;
  readonly router: Router<PreparedRoute>;
  /** How long the headers of a request may take, from the start of the connection or their first byte. */
  readonly headersTimeoutMs: number;
  /** How long a whole request may take to arrive, including a body that no code reads. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection stays open. */
  readonly keepAliveMs: number;
  /** How long a connection with a request in flight may be inactive. Must be longer than the slowest handler. */
  readonly stallTimeoutMs: number;
  /** How long the client of a response may read too slowly: connection/slow-readers.ts. */
  readonly sendTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  /** Limits of open connections, in total and per address: connections.ts. */
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress?: number;
  readonly isExemptAddress?: (address: string) => boolean;
  readonly blockNullBytes: boolean;
  /** Called for input that never became a request, and for a request whose body was malformed. */
  readonly onMalformed: (report: MalformedReport) => void;
  /** Returns the CORS fields of a response to malformed input, for a page of this origin. By default there are none. */
  readonly malformedFieldsFor?: MalformedInput['fieldsFor'];
  readonly onStreamError: (ctx: Context, error: Error) => void;
  readonly onPipelineError: (ctx: Context, error: unknown) => void;
  /** Called for each refused connection. */
  readonly onRejected?: (rejection: RejectionReason, address: string) => void;
  /** Called for each connection that is closed because of its client. */
  readonly onCut?: (reason: CutReason, address: string) => void;
  /** Called if the system cannot accept a connection, for example because memory is short. The server continues. */
  readonly onAcceptError?: (error: Error) => void;
}

/** Why a connection was closed: the client did not read, or it pipelined too many requests. */
export type CutReason = 'slow_reader' | 'pipelining';

/** How a request arrived: with an expectation (RFC 9110, section 10.1.1), as CONNECT, or as usual. */
type RequestKind = 'continue' | 'unknown expectation' | 'connect' | undefined;

export interface HttpServer {
  /** Starts to listen and resolves with the port. Rejects with the error of the system, such as EADDRINUSE or EACCES. */
  listen(port: number, host: string): Promise<number>;
  /** Whether the server accepts new connections. */
  readonly listening: boolean;
  /** Returns how many requests have been received. */
  requests(): number;
  /** Returns how many requests have no complete response yet. */
  inFlight(): number;
  /** Drains; after `graceMs` it closes the remaining connections. Resolves with the number of aborted requests. */
  close(options: DrainOptions): Promise<number>;
}

/** Creates the server; it does not listen yet. */
export function createHttpServer(options: ServerOptions): HttpServer {
  const findMessageError = createMessageCheck(options);
  let closing = false;
  let requests = 0;
  let inProgress = 0;
  const inFlight = () => inProgress + pipelining.waiting();
  const cut = (reason: CutReason) => (socket: Duplex) => {
    options.onCut?.(reason, socket instanceof Socket ? (socket.remoteAddress ?? '') : '');
  };
  const pipelining = createPipelining<RequestKind>({ start: handle, onExcess: cut('pipelining') });
  /** Connections that were sent a whole response before the rest of the request's body arrived, which is discarded. */
  const discarding = new WeakSet<Duplex>();
  const connections = createConnections({
    max: options.maxConnections,
    ...(options.maxConnectionsPerAddress && { maxPerAddress: options.maxConnectionsPerAddress }),
    ...(options.isExemptAddress && { isExempt: options.isExemptAddress }),
  });
  const stopSlowReaders = closeSlowReaders({
    open: connections.open,
    timeoutMs: options.sendTimeoutMs,
    onClosed: cut('slow_reader'),
  });
  /** Open event streams, which do not close by themselves. */
  const eventStreams = new Set<EventStream<unknown>>();

  const server = createServer(
    {
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      keepAliveTimeout: options.keepAliveMs,
      // Twice the limit, so that the server can respond readably to headers a little over it (message-error.ts).
      maxHeaderSize: 2 * options.maxHeaderBytes,
      connectionsCheckingInterval: Math.min(500, options.headersTimeoutMs),
      // Checked in message-error.ts, so that the response is a problem.
      requireHostHeader: false,
      insecureHTTPParser: false,
    },
    receive,
  );
  // Fields are counted in message-error.ts and bounded by maxHeaderSize. At this limit newer versions of Node reset the
  // connection, which a browser cannot read, and older ones drop the fields over it.
  server.maxHeadersCount = 0;
  // Without it, a connection that is silent in the middle of a request could stay open forever.
  server.timeout = options.stallTimeoutMs;

  // `server.maxConnections` does not work in a cluster: the primary offers a refused connection to the workers again.
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const rejection = connections.admit(socket);
    if (rejection !== undefined) options.onRejected?.(rejection, address);
  });
  // Without a listener, an error of `accept` would crash the process.
  server.on('error', (error) => {
    if (server.listening) options.onAcceptError?.(error);
  });
  server.on('checkContinue', (request, response) => receive(request, response, 'continue'));
  server.on('checkExpectation', (request, response) => receive(request, response, 'unknown expectation'));
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    // CONNECT is rejected like an unknown method, because an origin server has no tunnels. Node creates no response object for it.
    if (!(socket instanceof Socket)) return socket.destroy();
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.once('finish', () => closeSoon(socket));
    return receive(request, response, 'connect');
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // The request has its response. A second one would be taken for that of the next request.
    if (discarding.has(socket) && pipelining.last(socket) === undefined) {
      socket.destroy();
      return;
    }
    const { onMalformed: report, malformedFieldsFor: fieldsFor = () => undefined } = options;
    replyToMalformed({ error, socket, pending: pipelining.last(socket), fieldsFor, report });
  });

  function receive(request: IncomingMessage, response: ServerResponse, kind?: RequestKind): void {
    pipelining.receive(request, response, kind);
  }

  function handle(request: IncomingMessage, response: ServerResponse, kind: RequestKind): void {
    if (kind === 'connect') response.assignSocket(request.socket);
    const target = parseTarget(request.url ?? '', options);
    const method = request.method ?? '';
    const match = target.error === undefined ? options.router.match(method, target.path) : unmatched;
    const ctx = new Context(request, response, target, match, performance.now());
    if (kind === 'continue') {
      ctx.expectsContinue = true;
      // A client must not send this expectation without a body (RFC 9110, section 10.1.1).
      if (ctx.bodyState === 'unknown') ctx.bodyState = 'present';
    }
    ctx.messageError = findMessageError({
      request,
      target,
      unknownExpectation: kind === 'unknown expectation',
    });

    requests += 1;
    inProgress += 1;
    connections.begin(request.socket);
    discarding.delete(request.socket);
    response.once('close', onClose);

    let done: ReturnType<Next>;
    try {
      done = options.pipeline(ctx);
    } catch (error) {
      fail(ctx, error);
      return;
    }
    if (done === undefined) finishAfterParsing(ctx);
    else
      done.then(
        () => finishAfterParsing(ctx),
        (error) => fail(ctx, error),
      );
  }

  function onClose(this: ServerResponse) {
    inProgress -= 1;
    const { socket } = this.req;
    if (pipelining.finish(socket)) connections.end(socket);
    if (socket !== null && !this.req.complete) discarding.add(socket);
  }

  /**
   * The end of an empty chunked body usually arrives in the same packet as the headers, and the parser reads it in a later
   * turn. Waiting for it keeps the connection open, which an unread body would close.
   */
  function finishAfterParsing(ctx: Context): void {
    const mayBeEmpty = ctx.bodyState === 'unknown' && !ctx.request.complete;
    if (mayBeEmpty && ctx.headers.connection !== 'close') setImmediate(finish, ctx);
    else finish(ctx);
  }

  function finish(ctx: Context): void {
    try {
      const { socket } = ctx.request;
      send(ctx, {
        closing: closing || pipelining.mustClose(socket),
        onStreamError: options.onStreamError,
      });
      // Later requests are ignored (RFC 9112, section 9.6).
      if (ctx.headers.connection === 'close') pipelining.end(socket);
      if (ctx.payload instanceof EventStream) keep(ctx.payload);
    } catch (error) {
      options.onPipelineError(ctx, error);
      ctx.response.destroy();
    }
  }

  function keep(stream: EventStream<unknown>): void {
    if (closing) stream.finish();
    eventStreams.add(stream);
    stream.once('close', () => eventStreams.delete(stream));
  }

  function fail(ctx: Context, error: unknown): void {
    if (!(error instanceof AppError)) options.onPipelineError(ctx, error);
    replyWithProblem(ctx, error, false);
    finishAfterParsing(ctx);
  }

  return {
    get listening() {
      return server.listening;
    },
    requests: () => requests,
    inFlight,
    listen: (port, host) => listen(server, port, host),
    async close(given) {
      closing = true;
      let aborted = 0;
      for (const stream of eventStreams) stream.finish();
      await drain(server, connections.open, given, () => {
        aborted = inFlight();
      });
      stopSlowReaders();
      return aborted;
    },
  };
}

const unmatched = { kind: 'unknown' } as const;

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve(portOf(server.address()));
    });
  });
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
