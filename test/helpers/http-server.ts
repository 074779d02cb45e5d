import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { compose } from '../../src/http/compose.ts';
import type { MalformedReport } from '../../src/http/connection/malformed.ts';
import type { Layer } from '../../src/http/context.ts';
import { dispatch, prepareRoute } from '../../src/http/dispatch.ts';
import type { Route } from '../../src/http/route.ts';
import { createRouter } from '../../src/http/router.ts';
import { createHttpServer, type HttpServer, type ServerOptions } from '../../src/http/server.ts';
import { errorBoundary } from '../../src/middleware/error-boundary.ts';
import { type CapturedLog, captureLog } from './captured-log.ts';
import { type Answer, type RequestOptions, request } from './http-client.ts';

export interface TestServerOptions {
  readonly routes: readonly Route[];
  /** The layers inside the error boundary, which is always present. */
  readonly layers?: readonly Layer[];
  readonly timed?: boolean;
  readonly captured?: CapturedLog;
  readonly maxBytes?: number;
  readonly bodyTimeoutMs?: number;
  readonly server?: Partial<ServerOptions>;
}

export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly http: HttpServer;
  readonly log: CapturedLog;
  readonly malformed: readonly MalformedReport[];
  /**
   * Sends bytes on a new connection. Resolves with everything received when the server closes the connection or when the
   * text contains `until`.
   */
  raw(text: string | Buffer, until?: string | RegExp): Promise<string>;
  /** Sends one request on a new connection. */
  request(options?: RequestOptions): Promise<Answer>;
}

/** Starts a real server on port 0 with the given routes and layers, and closes it after the test. */
export async function mustStartServer(
  t: Pick<TestContext, 'after'>,
  options: TestServerOptions,
): Promise<TestServer> {
  const captured = options.captured ?? captureLog();
  const malformed: MalformedReport[] = [];
  const defaults = { maxBytes: options.maxBytes ?? 1_048_576, timeoutMs: options.bodyTimeoutMs ?? 5_000 };
  const boundary = { name: 'error-boundary', run: errorBoundary({ log: captured.log, debug: false }) };
  const http = createHttpServer({
    pipeline: compose([boundary, ...(options.layers ?? [])], dispatch, { timed: options.timed === true }),
    router: createRouter(
      options.routes.map((route) => ({
        method: route.method,
        path: route.path,
        value: prepareRoute(route, defaults),
      })),
    ),
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    keepAliveMs: 5_000,
    stallTimeoutMs: 60_000,
    sendTimeoutMs: 10_000,
    maxHeaderBytes: 16_384,
    maxHeaderCount: 100,
    maxConnections: 1_000,
    blockNullBytes: true,
    onMalformed: (report) => malformed.push(report),
    onStreamError: (_ctx, error) => captured.log.warning('http.response.aborted', { error }),
    onPipelineError: (_ctx, error) => captured.log.error('http.request.failed', { error }),
    ...options.server,
  });
  const port = await http.listen(0, '127.0.0.1');
  t.after(() => http.close({ graceMs: 0 }));
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    http,
    log: captured,
    malformed,
    raw: (text, until) => exchangeText(port, text, until),
    request: (asked) => request(port, asked),
  };
}

/** Opens a connection, writes, and reads until the server closes it or `until` has arrived. */
export function exchangeText(port: number, text: string | Buffer, until?: string | RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let received = '';
    const done = () => {
      resolve(received);
      socket.destroy();
    };
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      received += chunk;
      const isEnough = typeof until === 'string' ? received.includes(until) : until?.test(received);
      if (isEnough) done();
    });
    socket.on('close', done);
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? done() : reject(error),
    );
  });
}
