/**
 * Writes the finished answer: once, status and headers in one go, with the framing that RFC 9110 and 9112 ask
 * for. HEAD, 204 and 304 have no body; text and bytes have their length; a stream goes out chunk by chunk and is
 * destroyed when the client goes away.
 *
 * An answer may be ready while the client still sends its body (413, 401, 404). Closing the socket at once would
 * let the kernel answer the rest with a reset, and the client would lose the answer it is owed. So the answer is
 * written, the rest is read and thrown away for a while, and only then the connection ends ("lingering close").
 */

import { pipeline, Readable } from 'node:stream';
import type { Context } from './context.ts';
import { EventStream } from './event-stream.ts';

export interface SendOptions {
  /** Answer with `Connection: close`: the server is about to end. */
  readonly closing: boolean;
  /**
   * Called when a stream broke before its end. The client sees a cut answer; there is no other way to say it. Not for a
   * stream of events whose client goes away: that is how clients end those.
   */
  readonly onStreamError: (ctx: Context, error: Error) => void;
}

/** How long and for how many bytes an unread body is thrown away before the connection is cut. */
const lingerMs = 2000;
const lingerBytes = 16 * 1024 * 1024;

/** Sends `ctx.status`, `ctx.headers` and `ctx.payload`. Does nothing when the client is gone. */
export function send(ctx: Context, options: SendOptions): void {
  const { request, response, headers, status } = ctx;
  if (response.headersSent || response.destroyed) {
    discard(ctx);
    return;
  }
  // `complete` turns true only after the parser has run on, also for a request without a body.
  const unread = !request.complete && ctx.bodyState !== 'absent';
  if (options.closing || unread) headers.connection = 'close';
  // A client that still waits for `100 Continue` sends nothing more.
  const lingers = unread && !ctx.expectsContinue;

  const { payload } = ctx;
  if (status === 204 || status === 304) {
    discard(ctx);
    delete headers['content-type'];
    delete headers['content-length'];
    response.writeHead(status, headers);
    end(ctx, undefined, lingers);
  } else if (payload === undefined) {
    headers['content-length'] = '0';
    response.writeHead(status, headers);
    end(ctx, undefined, lingers);
  } else if (payload instanceof Readable) {
    sendStream(ctx, payload, options);
  } else {
    headers['content-length'] = String(
      typeof payload === 'string' ? Buffer.byteLength(payload) : payload.byteLength,
    );
    response.writeHead(status, headers);
    end(ctx, ctx.method === 'HEAD' ? undefined : payload, lingers);
  }
}

function end(ctx: Context, payload: string | Uint8Array | undefined, lingers: boolean): void {
  if (!lingers) {
    ctx.response.end(payload);
    // Node discards only a body that nobody has begun to read; one that is full would stop its connection.
    if (ctx.bodyState !== 'absent') ctx.request.resume();
    return;
  }
  // Flushes the headers with the payload, and keeps the response open while the rest is read.
  ctx.response.write(payload ?? '');
  ctx.response.flushHeaders();
  linger(ctx);
}

function linger({ request, response }: Context): void {
  let bytes = 0;
  const finish = () => {
    clearTimeout(timer);
    request.off('data', onData).off('end', finish).off('close', finish);
    response.end();
  };
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > lingerBytes) finish();
  };
  const timer = setTimeout(finish, lingerMs);
  request
    .on('data', onData)
    .on('end', finish)
    .on('close', finish)
    .on('error', () => {});
  request.resume();
}

function sendStream(ctx: Context, payload: Readable, options: SendOptions): void {
  const { response, method, status, headers } = ctx;
  if (method === 'HEAD') {
    payload.destroy();
    response.writeHead(status, headers);
    response.end();
    return;
  }
  // The first bytes decide: a stream that breaks before them can still be answered properly by nobody but
  // the connection itself, so the headers go out with the first chunk.
  response.writeHead(status, headers);
  pipeline(payload, response, (error) => {
    if (!error || response.writableFinished) return;
    if (payload instanceof EventStream && error.code === 'ERR_STREAM_PREMATURE_CLOSE') return;
    options.onStreamError(ctx, error);
  });
}

function discard({ payload }: Context): void {
  if (payload instanceof Readable) payload.destroy();
}
