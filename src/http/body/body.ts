/**
 * Reads the body of a request. The size is limited while the body arrives, whatever length was declared, and the body must
 * arrive before a deadline. A body that is rejected for its declared length is not buffered.
 */

import { AppError } from '../../errors.ts';
import type { Context } from '../context.ts';
import type { BodyLimits } from '../route-declaration.ts';

/** Consumes a chunk of a body. A returned promise pauses the request, and so the client, until it resolves. */
export type TakeChunk = (chunk: Buffer) => Promise<void> | undefined;

export interface StreamBodyOptions {
  readonly limits: BodyLimits;
  /** The layer that reads the body; errors name it. */
  readonly layer?: string | undefined;
  /** If it rejects, the reading stops with the same error, because the consumer of the body has failed. */
  readonly failed?: Promise<never>;
}

/**
 * Resolves with whether the request has a body, and sets `ctx.bodyState`. Proxies may send a request without a body as a
 * chunked body that consists of the last chunk alone, so this waits for the first octet or the end of the body. Rejects with
 * the AppErrors `request_timeout` and `incomplete_body`.
 */
export function waitForBody(ctx: Context, { timeoutMs }: BodyLimits, layer?: string): Promise<boolean> {
  const { request } = ctx;
  const isKnown = () => {
    if (request.readableLength > 0) ctx.bodyState = 'present';
    else if (request.complete) ctx.bodyState = 'absent';
    return ctx.bodyState !== 'unknown';
  };
  if (ctx.bodyState !== 'unknown' || isKnown()) return Promise.resolve(ctx.bodyState === 'present');
  if (request.destroyed) return Promise.reject(incomplete());
  return new Promise((resolve, reject) => {
    const finish = (then: () => void) => {
      clearTimeout(timer);
      request.off('readable', look).off('close', fail).off('error', fail);
      // A later 'error' event must not be unhandled.
      request.on('error', () => {});
      then();
    };
    const look = () => {
      if (!isKnown()) return;
      finish(() => resolve(ctx.bodyState === 'present'));
      // A stream with a 'readable' listener emits 'end' only if it is read.
      if (ctx.bodyState === 'absent') request.resume();
    };
    const fail = () => finish(() => reject(incomplete()));
    // Events settle this promise, so the timer needs none of its own; withTimeout would create three more per request.
    const timer = setTimeout(() => finish(() => reject(tooSlow(timeoutMs, layer))), timeoutMs);
    request.on('readable', look).on('close', fail).on('error', fail);
  });
}

/** Checks the header fields that describe the body. Throws AppError `unsupported_encoding` or `body_too_large`. */
export function assertAcceptableBody({ request }: Context, limits: BodyLimits, layer?: string): void {
  const coding = request.headers['content-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    throw new AppError(
      'unsupported_encoding',
      'This server accepts no Content-Encoding: send the body uncompressed.',
      { ...named(layer), headers: { 'accept-encoding': 'identity' } },
    );
  }
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > limits.maxBytes) throw tooLarge(limits.maxBytes, layer);
}

/**
 * Reads the whole body into `ctx.rawBody`, which stays undefined if there is none. Rejects with an AppError: `body_too_large`,
 * `request_timeout`, `incomplete_body` if the client disconnects in the middle, `unsupported_encoding` for a Content-Encoding.
 * The error names `layer`.
 */
export async function receiveBody(ctx: Context, limits: BodyLimits, layer?: string): Promise<void> {
  if (ctx.bodyState === 'unknown' && !(await waitForBody(ctx, limits, layer))) return;
  assertAcceptableBody(ctx, limits, layer);
  const chunks: Buffer[] = [];
  const keep: TakeChunk = (chunk) => {
    chunks.push(chunk);
    return undefined;
  };
  await streamBody(ctx, keep, { limits, layer });
  const only = chunks.length === 1 ? chunks[0] : undefined;
  ctx.rawBody = only ?? Buffer.concat(chunks);
}

/**
 * Passes the body to `take` chunk by chunk, in order, and resolves when all chunks are consumed. Sends `100 Continue` if the
 * client waits for it. Rejects with the same AppErrors as `receiveBody`, and with the error of `take`. The request is then
 * paused; send.ts discards the rest of it.
 */
export function streamBody(ctx: Context, take: TakeChunk, options: StreamBodyOptions): Promise<void> {
  const { limits, layer } = options;
  const { request } = ctx;
  if (ctx.expectsContinue) {
    ctx.response.writeContinue();
    ctx.expectsContinue = false;
  }
  return new Promise((resolve, reject) => {
    let size = 0;
    let finished = false;
    const finish = (then: () => void) => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      // A later 'error' event must not be unhandled. send.ts closes the socket.
      request.on('error', () => {});
      then();
    };
    const fail = (error: unknown) => {
      finish(() => {
        request.pause();
        reject(error);
      });
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limits.maxBytes) return fail(tooLarge(limits.maxBytes, layer));
      const taken = take(chunk);
      if (taken === undefined) return;
      request.pause();
      taken.then(() => {
        if (!finished) request.resume();
      }, fail);
    };
    const onEnd = () => finish(resolve);
    const onClose = () => {
      fail(incomplete());
    };
    // Events settle this promise too, so it needs no withTimeout.
    const timer = setTimeout(() => fail(tooSlow(limits.timeoutMs, layer)), limits.timeoutMs);
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
    options.failed?.catch(fail);
  });
}

function incomplete(): AppError {
  return new AppError('incomplete_body', 'The connection closed before the whole body had arrived.');
}

function tooLarge(maxBytes: number, layer: string | undefined): AppError {
  return new AppError(
    'body_too_large',
    `The body is larger than the ${maxBytes} bytes that this route accepts.`,
    named(layer),
  );
}

function tooSlow(timeoutMs: number, layer: string | undefined): AppError {
  return new AppError(
    'request_timeout',
    `The body did not arrive within ${timeoutMs / 1000} seconds.`,
    named(layer),
  );
}

function named(layer: string | undefined): { layer?: string } {
  return layer === undefined ? {} : { layer };
}
