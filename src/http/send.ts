/**
 * Writes the finished response once, with the framing of RFC 9110 and 9112. HEAD, 204 and 304 have no body; text and bytes
 * have a length; a stream is sent chunk by chunk, and destroyed if the client disconnects.
 *
 * A response may be ready while the client still sends its body (413, 401, 404). If the socket were closed immediately, the
 * kernel would reply to the rest of the body with a reset, and the client could lose the response. So the response is written,
 * the rest is read and discarded for a limited time, and then the connection is closed ("lingering close"). The rest of a short
 * body is discarded and the connection stays open, because a new connection costs more than such a body.
 */

import { pipeline, Readable } from 'node:stream';
import type { Context } from './context.ts';
import { EventStream } from './event-stream.ts';

export interface SendOptions {
  /** Send `Connection: close`, because the server is draining. */
  readonly closing: boolean;
  /**
   * Called if a stream fails before its end; the client sees a truncated response. Not called for an event stream whose
   * client disconnects, because that is how clients close those.
   */
  readonly onStreamError: (ctx: Context, error: Error) => void;
}

/** A body of up to this declared length is discarded without closing the connection. */
const shortBodyBytes = 64 * 1024;

/** Limits of discarding an unread body before the connection is closed. */
const lingerMs = 2000;
const lingerBytes = 16 * 1024 * 1024;

/** Sends `ctx.status`, `ctx.headers` and `ctx.payload`. Does nothing if the client has disconnected. */
export function send(ctx: Context, options: SendOptions): void {
  const { request, response, headers, status } = ctx;
  if (response.headersSent || response.destroyed) {
    discard(ctx);
    return;
  }
  // `complete` becomes true only in a later turn of the parser, even for a request without a body.
  const unread = !request.complete && ctx.bodyState !== 'absent' && !hasShortRest(ctx);
  if (options.closing || unread) headers.connection = 'close';
  // A client that still waits for `100 Continue` does not send its body.
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

/**
 * Whether the body arrives soon and in full. A client that waits for `100 Continue` may not send it, and one that was too slow
 * (408) has had its time. The timeout of the request limits how long the rest may take.
 */
function hasShortRest({ bodyState, expectsContinue, status, request: { headers } }: Context): boolean {
  if (bodyState !== 'present' || expectsContinue || status === 408) return false;
  return Number(headers['content-length'] ?? Number.POSITIVE_INFINITY) <= shortBodyBytes;
}

function end(ctx: Context, payload: string | Uint8Array | undefined, lingers: boolean): void {
  if (!lingers) {
    ctx.response.end(payload);
    // Node discards a body only if no code has started reading it; a full buffer would block the connection.
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
