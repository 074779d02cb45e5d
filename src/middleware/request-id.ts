/**
 * Identifies every request: an id, and its span in a distributed trace (W3C Trace Context). All log lines that are written
 * while the request is handled carry both, at any depth of the call stack (observability/request-context.ts).
 *
 * The id is the `X-Request-ID` of the client if it is acceptable, else the trace id of its `traceparent`, else a new UUID. The
 * response carries it. The span continues the trace of `traceparent`, or starts one.
 *
 * The span is published for tracers (observability/trace-channels.ts), until the response is sent.
 */

import type { Context, Done, Middleware, Next } from '../http/context.ts';
import { createUuids } from '../http/parameters/uuid.ts';
import { maskForms } from '../observability/log/mask-forms.ts';
import { showPath, showQuery } from '../observability/log/target-text.ts';
import { runInRequest } from '../observability/request-context.ts';
import {
  beginOperation,
  endOperation,
  type RequestMessage,
  requestChannel,
} from '../observability/trace-channels.ts';
import { parseTraceContext, startSpan, type TraceContext } from '../observability/trace-context.ts';

export interface RequestIdOptions {
  /**
   * Whether a request continues the trace of its client; true by default. Otherwise it starts a new one: a client that is not
   * trusted could have its requests recorded, or add them to the trace of others.
   */
  readonly continuesTraces?: boolean;
}

/** The ids accepted from a client: short, and harmless in a header, a log line and a shell. */
const acceptable = /^[A-Za-z0-9._-]{1,128}$/;

export function requestId({ continuesTraces = true }: RequestIdOptions = {}): Middleware {
  const newId = createUuids();
  return function requestId(ctx, next) {
    const { headers } = ctx.request;
    const given = headers['x-request-id'];
    const client = headers.traceparent === undefined ? undefined : clientTrace(ctx);
    const parent = continuesTraces ? client : undefined;
    ctx.id = typeof given === 'string' && isAcceptable(given) ? given : (parent?.traceId ?? newId());
    ctx.headers['x-request-id'] = ctx.id;
    const trace = startSpan(parent);
    if (requestChannel.hasSubscribers)
      return publish(ctx, next, { trace, parent, link: continuesTraces ? undefined : client });
    return run(ctx, next, trace);
  };
}

function run(ctx: Context, next: Next, trace: TraceContext): Done {
  ctx.trace = trace;
  return runInRequest({ id: ctx.id, signal: ctx.abortSource, trace }, () => next(ctx));
}

function publish(ctx: Context, next: Next, ids: Pick<RequestMessage, 'trace' | 'parent' | 'link'>): Done {
  const { match, target, request, response } = ctx;
  const message: RequestMessage = {
    ...ids,
    method: ctx.method,
    route: match.kind === 'found' ? match.value.route.path : undefined,
    path: showPath(target.path),
    query: showQuery(target.query),
    requestId: ctx.id,
    httpVersion: request.httpVersion,
  };
  response.once('close', () => {
    message.clientAddress = ctx.clientAddress;
    message.scheme = ctx.scheme;
    message.host = ctx.host;
    message.status = response.headersSent ? response.statusCode : undefined;
    endOperation(requestChannel, message, ctx.error);
  });
  return beginOperation(requestChannel, message, () => run(ctx, next, message.trace));
}

/** Rejects an id that looks like a credential: it would appear in every log line of the request. */
function isAcceptable(id: string): boolean {
  return acceptable.test(id) && maskForms(id) === id;
}

/** Returns undefined for an invalid `traceparent`. */
function clientTrace({ request }: Context): TraceContext | undefined {
  const { traceparent, tracestate } = request.headers;
  if (typeof traceparent !== 'string') return undefined;
  return parseTraceContext(traceparent, typeof tracestate === 'string' ? tracestate : undefined);
}
