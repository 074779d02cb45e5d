/**
 * Writes two log lines per request: `http.request.start` when its headers have arrived, and `http.request.complete` when the
 * response is ready (for a stream, when it has been sent). The response carries `X-Process-Time` in milliseconds and, if
 * enabled, `Server-Timing` with one entry per layer.
 *
 * A client that is rejected again and again has no lines but a sum per second (observability/rejected-clients.ts). For requests
 * of the same peer, the first line is written a little later meanwhile, because the address of the client and the rejection
 * are known only further inside.
 *
 * Rejected requests pass this layer as thrown errors on their way to the error boundary; the layer logs the status that they
 * will get. Credentials and e-mail addresses in paths and queries are masked, and both are truncated. Bodies are logged in
 * debug mode only, masked and then truncated.
 */

import { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { type Failure, observe } from '../http/compose.ts';
import type { Context, Done, Middleware, Next } from '../http/context.ts';
import { parseMediaType } from '../http/headers/media-type.ts';
import { statusOf } from '../http/problem.ts';
import { previewBody } from '../observability/log/body-preview.ts';
import { quoteText } from '../observability/log/log-text.ts';
import { showPath, showQuery } from '../observability/log/target-text.ts';
import type { LineWriter, LogLevel } from '../observability/logger.ts';
import type { RejectedClients } from '../observability/rejected-clients.ts';
import { idJson } from '../observability/request-context.ts';

export interface RequestLogOptions {
  readonly log: LineWriter;
  readonly rejected: Pick<RejectedClients, 'isFlooding'>;
  /** Log the first 256 bytes of request bodies. */
  readonly bodies: boolean;
  /** Send `Server-Timing`. Requires a pipeline composed with `timed`. */
  readonly serverTiming: boolean;
}

/** Parts that the lines of a request share, made once. */
interface LineTexts {
  /** Masked and quoted. */
  readonly path: string;
  /** The ids of the request. */
  readonly ids: string;
}

export function requestLog({ log, rejected, bodies, serverTiming }: RequestLogOptions): Middleware {
  /** Sets the headers with the times of the request, and returns its duration. */
  function setTimes(ctx: Context): string {
    const duration = (performance.now() - ctx.startedAt).toFixed(3);
    ctx.headers['x-process-time'] = duration;
    if (serverTiming) ctx.headers['server-timing'] = timings(ctx);
    return duration;
  }

  function complete(ctx: Context, texts: LineTexts, status: number, error?: unknown): void {
    const duration = setTimes(ctx);
    if (bodies && ctx.rawBody !== undefined) logBody(ctx, texts);
    if (error === undefined && ctx.payload instanceof Readable && !ctx.response.closed) {
      ctx.response.once('close', () =>
        writeComplete(ctx, texts, status, (performance.now() - ctx.startedAt).toFixed(3)),
      );
    } else {
      writeComplete(ctx, texts, status, duration, error);
    }
  }

  function writeComplete(
    ctx: Context,
    { path, ids }: LineTexts,
    status: number,
    duration: string,
    error?: unknown,
  ): void {
    const route = ctx.match.kind === 'found' ? ctx.match.value.route.path : null;
    // A code of a closed list needs no quoting.
    const country = ctx.country === undefined ? '' : `,"country":"${ctx.country}"`;
    const rejection =
      error instanceof AppError
        ? `,"code":"${error.code}"${error.layer === undefined ? '' : `,"layer":"${error.layer}"`}`
        : '';
    log.line(
      levelOf(status),
      'http.request.complete',
      `,"method":"${ctx.method}","path":${path},"route":${route === null ? 'null' : quoteText(route)}` +
        `,"status_code":${status},"duration_ms":${duration},"client_address":${quoteText(ctx.clientAddress)}${country}${rejection}${ids}`,
    );
  }

  function logBody(ctx: Context, { ids }: LineTexts): void {
    const header = ctx.request.headers['content-type'];
    const type = header === undefined ? undefined : parseMediaType(header)?.type;
    const preview = previewBody(ctx.rawBody ?? Buffer.alloc(0), type);
    log.line('DEBUG', 'http.request.body', `,"body":${quoteText(preview)}${ids}`);
  }

  function writeStart(ctx: Context): LineTexts {
    const path = quoteText(showPath(ctx.target.path));
    const ids = idJson(ctx);
    log.line(
      'INFO',
      'http.request.start',
      `,"method":"${ctx.method}","path":${path},"query":${quoteText(showQuery(ctx.target.query))}${ids}`,
    );
    return { path, ids };
  }

  /**
   * Writes the first line only when the request waits or is over: it may be one of many rejections, which have no lines. The
   * time and the headers of the response are the same.
   */
  function logLate(ctx: Context, next: Next): Done {
    let texts: LineTexts | undefined;
    const start = (): LineTexts => {
      texts ??= writeStart(ctx);
      return texts;
    };
    const done = observe(ctx, next, (failure) => {
      if (ctx.isLogged || texts !== undefined) return finish(ctx, start(), failure);
      log.count('http.request.start');
      log.count('http.request.complete');
      setTimes(ctx);
    });
    if (done !== undefined) start();
    return done;
  }

  function finish(ctx: Context, texts: LineTexts, failure: Failure | undefined): void {
    if (failure === undefined) complete(ctx, texts, ctx.status, ctx.error);
    else complete(ctx, texts, statusOf(failure.error), failure.error);
  }

  return function requestLog(ctx, next) {
    if (rejected.isFlooding(ctx.peer)) return logLate(ctx, next);
    const texts = writeStart(ctx);
    return observe(ctx, next, (failure) => finish(ctx, texts, failure));
  };
}

/** ERROR is for what an operator must investigate. Any client can cause a 501 with an unknown method. */
function levelOf(status: number): LogLevel {
  if (status === 501) return 'WARNING';
  return status >= 500 ? 'ERROR' : 'INFO';
}

/**
 * Returns `Server-Timing` (W3C): the time of each layer without the layers inside it. Layers outside this one have not
 * finished when the headers are written, so they are not included.
 */
function timings({ times }: Context): string {
  const byDepth = times.toSorted((a, b) => a.depth - b.depth);
  return byDepth
    .map(({ name, duration }, index) => {
      const inner = byDepth[index + 1]?.duration ?? 0;
      return `${name};dur=${Math.max(0, duration - inner).toFixed(3)}`;
    })
    .join(', ');
}
