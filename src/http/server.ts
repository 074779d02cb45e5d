/**
 * The server: `node:http` with limits, and an answer for everything that can arrive.
 *
 * What Node's parser refuses never becomes a request; `malformed.ts` answers it on the bare socket. Everything else goes
 * one way: parse the target, match the route, run the pipeline, send. A fault of the message as a whole
 * (message-error.ts) goes the same way, as `ctx.messageError`, so that it gets its log lines and headers too. Slow headers and silent
 * sockets end after `headersTimeoutMs`, idle connections after `keepAliveMs`, slow bodies at the deadline of
 * whoever reads them, and answers that their client does not read after `stallTimeoutMs`.
 *
 * `close` drains (drain.ts): nothing new is taken, requests in flight finish, every answer says `Connection: close`, and
 * streams of events, which would go on for as long as their client listens, end.
 */

import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { AppError } from '../errors.ts';
import { createConnections, type Refusal } from './connection/connections.ts';
import { type DrainOptions, drain } from './connection/drain.ts';
import {
  closeSoon,
  type MalformedInput,
  type MalformedReport,
  replyToMalformed,
} from './connection/malformed.ts';
import { createMessageCheck } from './connection/message-error.ts';
import { Context, type Next, type PreparedRoute } from './context.ts';
import { EventStream } from './event-stream.ts';
import { replyWithProblem } from './problem.ts';
import type { Router } from './router.ts';
import { send } from './send.ts';
import { parseTarget } from './target.ts';

export interface ServerOptions {
  /** The pipeline, with the dispatcher at its end. It must not throw; what it throws all the same becomes a 500. */
  readonly pipeline: Next;
  readonly router: Router<PreparedRoute>;
  /** How long the headers of a request may take, from the opening of the connection or its first byte. */
  readonly headersTimeoutMs: number;
  /** How long a whole request may take to arrive, body included, whether anybody reads it or not. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number;
  /** How long a connection may stand still with a request under way. More than any answer takes to be made. */
  readonly stallTimeoutMs: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  /** How many connections are open at once, and who may hold how many of them: connections.ts. */
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress?: number;
  readonly isExemptAddress?: (address: string) => boolean;
  readonly blockNullBytes: boolean;
  /** Told of what never became a request, and of what broke while an answer was sent. */
  readonly onMalformed: (report: MalformedReport) => void;
  /** The fields by which a page of this origin may read the answer to what never became a request. Default none. */
  readonly malformedFieldsFor?: MalformedInput['fieldsFor'];
  readonly onStreamError: (ctx: Context, error: Error) => void;
  readonly onPipelineError: (ctx: Context, error: unknown) => void;
  /** Called for each connection that was refused. */
  readonly onRefused?: (refusal: Refusal, address: string) => void;
  /** Called when the system refuses to accept a connection, such as for a lack of memory. The server goes on. */
  readonly onAcceptError?: (error: Error) => void;
}

export interface HttpServer {
  /** Listens. Rejects with the system's error: EADDRINUSE, EACCES. Returns the port that was given. */
  listen(port: number, host: string): Promise<number>;
  /** Whether new connections are taken. */
  readonly listening: boolean;
  /** Requests that have been received. */
  requests(): number;
  /** Those of them that have not been answered yet. */
  inFlight(): number;
  /** Drains, then cuts what is left after `graceMs`. Resolves with the number of requests that were cut. */
  close(options: DrainOptions): Promise<number>;
}

/** Makes the server; it does not listen yet. */
export function createHttpServer(options: ServerOptions): HttpServer {
  const findMessageError = createMessageCheck(options);
  let closing = false;
  let requests = 0;
  let inFlight = 0;
  /** The answer that each connection is owed now, for errors of the parser that come while it is made. */
  const pending = new WeakMap<Duplex, ServerResponse>();
  /** Connections whose last answer is on its way: nothing that arrives behind is done (RFC 9112, section 9.6). */
  const ended = new WeakSet<Duplex>();
  const connections = createConnections({
    max: options.maxConnections,
    ...(options.maxConnectionsPerAddress && { maxPerAddress: options.maxConnectionsPerAddress }),
    ...(options.isExemptAddress && { isExempt: options.isExemptAddress }),
  });
  /** Answers that go on until somebody ends them. */
  const eventStreams = new Set<EventStream<unknown>>();

  const server = createServer(
    {
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      keepAliveTimeout: options.keepAliveMs,
      // More than the limit, so that a browser can read the refusal of what is a little too long (message-error.ts).
      maxHeaderSize: 2 * options.maxHeaderBytes,
      connectionsCheckingInterval: Math.min(500, options.headersTimeoutMs),
      // Checked in message-error.ts, and answered with a problem.
      requireHostHeader: false,
      insecureHTTPParser: false,
    },
    receive,
  );
  // Counted in message-error.ts, and bounded by maxHeaderSize. Newer versions of Node break the connection at their limit,
  // which a browser cannot read, and older ones drop what is over it.
  server.maxHeadersCount = 0;
  // Without it, a client that never reads its answer would keep the connection, and the answer, for good.
  server.timeout = options.stallTimeoutMs;

  // Not by `server.maxConnections`: workers hand back what is over it, and the primary goes on offering it to them.
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const refusal = connections.admit(socket);
    if (refusal !== undefined) options.onRefused?.(refusal, address);
  });
  // Without a listener, an error of `accept` would end the process.
  server.on('error', (error) => {
    if (server.listening) options.onAcceptError?.(error);
  });
  server.on('checkContinue', (request, response) => receive(request, response, 'continue'));
  server.on('checkExpectation', (request, response) => receive(request, response, 'unknown expectation'));
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    // An origin server has no tunnels: the fault of the message says so. Node makes no response for this method.
    if (!(socket instanceof Socket)) return socket.destroy();
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => closeSoon(socket));
    return receive(request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const { onMalformed: report, malformedFieldsFor: fieldsFor = () => undefined } = options;
    replyToMalformed({ error, socket, pending: pending.get(socket), fieldsFor, report });
  });

  function receive(
    request: IncomingMessage,
    response: ServerResponse,
    expects?: 'continue' | 'unknown expectation',
  ) {
    if (ended.has(request.socket)) return;
    const target = parseTarget(request.url ?? '', options);
    const method = request.method ?? '';
    const match = target.error === undefined ? options.router.match(method, target.path) : unmatched;
    const ctx = new Context(request, response, target, match, performance.now());
    if (expects === 'continue') {
      ctx.expectsContinue = true;
      // A client must not expect it without a body (RFC 9110, section 10.1.1).
      if (ctx.bodyState === 'unknown') ctx.bodyState = 'present';
    }
    ctx.messageError = findMessageError({
      request,
      target,
      unknownExpectation: expects === 'unknown expectation',
    });

    requests += 1;
    inFlight += 1;
    connections.begin(request.socket);
    pending.set(request.socket, response);
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
    inFlight -= 1;
    // Of pipelined requests the last one's answer is pending until it is sent itself.
    const { socket } = this.req;
    if (socket !== null) connections.end(socket);
    if (socket !== null && pending.get(socket) === this) pending.delete(socket);
  }

  /**
   * The end of an empty chunked body usually arrives in the same packet as the headers, and the parser reads it after this
   * turn. Waiting for that keeps the connection, which an unread body would close.
   */
  function finishAfterParsing(ctx: Context): void {
    const mayBeEmpty = ctx.bodyState === 'unknown' && !ctx.request.complete;
    if (mayBeEmpty && ctx.headers.connection !== 'close') setImmediate(finish, ctx);
    else finish(ctx);
  }

  function finish(ctx: Context): void {
    try {
      send(ctx, { closing, onStreamError: options.onStreamError });
      if (ctx.headers.connection === 'close') ended.add(ctx.request.socket);
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
    inFlight: () => inFlight,
    listen: (port, host) => listen(server, port, host),
    async close(given) {
      closing = true;
      let cut = 0;
      for (const stream of eventStreams) stream.finish();
      await drain(server, connections.open, given, () => {
        cut = inFlight;
      });
      return cut;
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
