/**
 * Two lines a request: `http.request.start` when its headers have arrived, `http.request.complete` when its
 * answer is made (a stream: when it has been sent). The answer carries `X-Process-Time` in milliseconds and,
 * where it is turned on, `Server-Timing` with an entry a layer.
 *
 * This layer sees refusals as thrown errors on their way to the boundary, and logs the status they will get.
 * Credentials and e-mail addresses in paths and queries are masked, and both are cut; bodies are logged only in debug,
 * masked before they are cut.
 */

import { Readable } from 'node:stream';
import { AppError } from '../errors.ts';
import { observe } from '../http/compose.ts';
import type { Context, Middleware } from '../http/context.ts';
import { parseMediaType } from '../http/headers/media-type.ts';
import { statusOf } from '../http/problem.ts';
import { previewBody } from '../observability/log/body-preview.ts';
import { quoteText } from '../observability/log/log-text.ts';
import { showPath, showQuery } from '../observability/log/target-text.ts';
import type { LineWriter, LogLevel } from '../observability/logger.ts';

export interface RequestLogOptions {
  readonly log: LineWriter;
  /** Log the first 256 bytes of request bodies. */
  readonly bodies: boolean;
  /** Send `Server-Timing`, for which the pipeline must be composed with `timed`. */
  readonly serverTiming: boolean;
}

export function requestLog({ log, bodies, serverTiming }: RequestLogOptions): Middleware {
  function complete(ctx: Context, path: string, status: number, error?: unknown): void {
    const duration = (performance.now() - ctx.startedAt).toFixed(3);
    ctx.headers['x-process-time'] = duration;
    if (serverTiming) ctx.headers['server-timing'] = timings(ctx);
    if (bodies && ctx.rawBody !== undefined) logBody(ctx);
    if (error === undefined && ctx.payload instanceof Readable && !ctx.response.closed) {
      ctx.response.once('close', () =>
        writeComplete(ctx, path, status, (performance.now() - ctx.startedAt).toFixed(3)),
      );
    } else {
      writeComplete(ctx, path, status, duration, error);
    }
  }

  function writeComplete(
    ctx: Context,
    path: string,
    status: number,
    duration: string,
    error?: unknown,
  ): void {
    const route = ctx.match.kind === 'found' ? ctx.match.value.route.path : null;
    const refusal =
      error instanceof AppError
        ? `,"code":"${error.code}"${error.layer === undefined ? '' : `,"layer":"${error.layer}"`}`
        : '';
    log.line(
      levelOf(status),
      'http.request.complete',
      `,"method":"${ctx.method}","path":${path},"route":${route === null ? 'null' : quoteText(route)}` +
        `,"status_code":${status},"duration_ms":${duration},"client_address":${quoteText(ctx.clientAddress)}${refusal}` +
        `,"request_id":"${ctx.id}"`,
    );
  }

  function logBody(ctx: Context): void {
    const header = ctx.request.headers['content-type'];
    const type = header === undefined ? undefined : parseMediaType(header)?.type;
    const preview = previewBody(ctx.rawBody ?? Buffer.alloc(0), type);
    log.line('DEBUG', 'http.request.body', `,"body":${quoteText(preview)},"request_id":"${ctx.id}"`);
  }

  return function requestLog(ctx, next) {
    // Both lines have it; it is masked once.
    const path = quoteText(showPath(ctx.target.path));
    log.line(
      'INFO',
      'http.request.start',
      `,"method":"${ctx.method}","path":${path},"query":${quoteText(showQuery(ctx.target.query))},"request_id":"${ctx.id}"`,
    );
    return observe(ctx, next, (failure) => {
      if (failure === undefined) complete(ctx, path, ctx.status);
      else complete(ctx, path, statusOf(failure.error), failure.error);
    });
  };
}

/** An error is what an operator must look into; 501 is any client's to cause, by naming an odd method. */
function levelOf(status: number): LogLevel {
  if (status === 501) return 'WARNING';
  return status >= 500 ? 'ERROR' : 'INFO';
}

/**
 * `Server-Timing` (W3C): what each layer took itself, without the layers inside it. Layers outside of this one are
 * still at work when the headers are made, so they are not in it.
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
