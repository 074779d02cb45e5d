/**
 * Counts every response with its duration and sizes, by method, route and status. The layer is outside the error boundary,
 * so it counts the response that is sent, including error responses.
 *
 *     http_requests_total              responses
 *     http_request_duration_seconds    from the headers of the request until the response is ready; for a stream, until its
 *                                      last byte; for an event stream, until its start, because the client decides its length
 *     http_request_size_bytes          the body of the request; 0 if it was rejected unread
 *     http_response_size_bytes         the body of the response; 0 for HEAD, 204 and 304
 *
 * The label `route` is the template (`/users/:id`) or `none`, and an unknown method is `OTHER`, so clients cannot create
 * series. Series are looked up by the route object that the router found, so no label text is built per request.
 */

import { Readable } from 'node:stream';
import { after } from '../http/compose.ts';
import type { Context, Middleware, PreparedRoute } from '../http/context.ts';
import { EventStream } from '../http/event-stream.ts';
import type { CounterSeries, HistogramSeries, Metrics } from '../observability/metrics/metrics.ts';

/** The series for one route, method and status. */
interface AnswerSeries {
  readonly total: CounterSeries;
  readonly duration: HistogramSeries;
  readonly requestSize: HistogramSeries;
  readonly responseSize: HistogramSeries;
}

const labels = ['method', 'route', 'status'];
const durations = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const sizes = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

export function countRequests(metrics: Metrics): Middleware {
  const total = metrics.counter({
    name: 'http_requests_total',
    help: 'Requests that were answered.',
    labels,
  });
  const duration = metrics.histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the headers of a request to its finished response.',
    labels,
    bounds: durations,
  });
  const requestSize = metrics.histogram({
    name: 'http_request_size_bytes',
    help: 'Size of the bodies of requests.',
    labels,
    bounds: sizes,
  });
  const responseSize = metrics.histogram({
    name: 'http_response_size_bytes',
    help: 'Size of the bodies of responses.',
    labels,
    bounds: sizes,
  });
  /** By route (undefined if none matched), then method, then status. */
  const known = new Map<PreparedRoute | undefined, Map<string, Map<number, AnswerSeries>>>();

  function seriesFor({ match, method, status }: Context): AnswerSeries {
    const route = match.kind === 'found' ? match.value : undefined;
    const name = knownMethods.has(method) ? method : 'OTHER';
    const found = known.get(route)?.get(name)?.get(status);
    if (found !== undefined) return found;
    const values = [name, route?.route.path ?? 'none', String(status)];
    const made = {
      total: total.of(...values),
      duration: duration.of(...values),
      requestSize: requestSize.of(...values),
      responseSize: responseSize.of(...values),
    };
    const byMethod = known.get(route) ?? new Map<string, Map<number, AnswerSeries>>();
    const byStatus = byMethod.get(name) ?? new Map<number, AnswerSeries>();
    known.set(route, byMethod.set(name, byStatus.set(status, made)));
    return made;
  }

  function count(ctx: Context, bytes: number, endedAt = performance.now()): void {
    const series = seriesFor(ctx);
    series.total.add();
    series.duration.observe((endedAt - ctx.startedAt) / 1000);
    series.requestSize.observe(sizeOfRequest(ctx));
    series.responseSize.observe(bytes);
  }

  function countResponse(ctx: Context): undefined {
    const { payload } = ctx;
    if (isWithoutBody(ctx)) count(ctx, 0);
    else if (payload instanceof Readable && !ctx.response.closed) countWhenSent(ctx, payload);
    else count(ctx, payload === undefined || payload instanceof Readable ? 0 : Buffer.byteLength(payload));
  }

  /** Counts when the stream has been sent. The `data` listener sees each chunk at the pace of the client. */
  function countWhenSent(ctx: Context, payload: Readable): void {
    let bytes = 0;
    const endedAt = payload instanceof EventStream ? performance.now() : undefined;
    payload.on('data', (chunk: string | Uint8Array) => {
      bytes += Buffer.byteLength(chunk);
    });
    ctx.response.once('close', () => count(ctx, bytes, endedAt));
  }

  return function metrics(ctx, next) {
    return after(next(ctx), () => countResponse(ctx));
  };
}

/** Returns the bytes read, or else the announced length. If the body was rejected unread, the announcement means nothing. */
function sizeOfRequest({ request, rawBody, status }: Context): number {
  if (rawBody !== undefined) return rawBody.length;
  const announced = request.headers['content-length'];
  return announced === undefined || status >= 400 ? 0 : Number(announced);
}

function isWithoutBody({ method, status }: Context): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}
