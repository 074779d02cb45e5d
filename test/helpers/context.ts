import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { Context, type PreparedRoute } from '../../src/http/context.ts';
import { prepareRoute } from '../../src/http/dispatch.ts';
import type { Route } from '../../src/http/route.ts';
import { parseTarget } from '../../src/http/target.ts';

export interface TestContextOptions {
  readonly method?: string;
  readonly target?: string;
  /** Headers as the parser returns them, with lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The address of the socket's peer. */
  readonly peer?: string;
  readonly route?: Route;
}

/** Creates a context with real message objects, for testing a layer without a server. Nothing is sent. */
export function makeContext(options: TestContextOptions = {}): Context {
  const { method = 'GET', target = '/', headers = {}, peer = '127.0.0.1', route } = options;
  const request = new IncomingMessage(new Socket());
  request.method = method;
  request.url = target;
  request.httpVersion = '1.1';
  request.rawHeaders = Object.entries(headers).flat();
  Object.assign(request.headers, headers);
  const match = route === undefined ? ({ kind: 'unknown' } as const) : found(prepareRoute(route, limits));
  const response = new ServerResponse(request);
  const ctx = new Context(
    request,
    response,
    parseTarget(target, { blockNullBytes: true }),
    match,
    performance.now(),
  );
  ctx.clientAddress = peer;
  return ctx;
}

const limits = { maxBytes: 1_048_576, timeoutMs: 5_000 };

function found(value: PreparedRoute) {
  return { kind: 'found', value, params: {} } as const;
}
