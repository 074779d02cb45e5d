/**
 * Reading a request's body: its size is limited while it arrives, whatever was declared, and it must arrive
 * before a deadline. Nothing is buffered of a body that is refused by its declared length.
 */

import { AppError } from '../../errors.ts';
import type { Context } from '../context.ts';
import type { BodyLimits } from '../route-declaration.ts';

/** Takes a piece of a body. A promise holds back what comes behind it, and the client with it, until it resolves. */
export type TakeChunk = (chunk: Buffer) => Promise<void> | undefined;

export interface StreamBodyOptions {
  readonly limits: BodyLimits;
  /** The layer that asks, for its refusals. */
  readonly layer?: string | undefined;
  /** Ends the reading when it rejects, with the same error: what is made of the body has failed. */
  readonly failed?: Promise<never>;
}

/**
 * Resolves with whether the request has a body. A chunked body may consist of the last chunk alone, as proxies send it;
 * such a request has none, so this waits for the first octet or the end of the body, and sets `ctx.bodyState`.
 * Rejects with the AppErrors `request_timeout` and `incomplete_body`.
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
      // What still arrives must not throw an unhandled 'error'.
      request.on('error', () => {});
      then();
    };
    const look = () => {
      if (!isKnown()) return;
      finish(() => resolve(ctx.bodyState === 'present'));
      // Reading to the end of a stream that has been looked at is for its reader.
      if (ctx.bodyState === 'absent') request.resume();
    };
    const fail = () => finish(() => reject(incomplete()));
    const timer = setTimeout(() => finish(() => reject(tooSlow(timeoutMs, layer))), timeoutMs);
    request.on('readable', look).on('close', fail).on('error', fail);
  });
}

/** Throws what can be said of a body before any of it has come: `unsupported_encoding`, `body_too_large`. */
export function assertAcceptableBody({ request }: Context, limits: BodyLimits, layer?: string): void {
  const coding = request.headers['content-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    throw new AppError(
      'unsupported_encoding',
      'This server takes bodies without a Content-Encoding only: send it uncompressed.',
      { ...named(layer), headers: { 'accept-encoding': 'identity' } },
    );
  }
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > limits.maxBytes) throw tooLarge(limits.maxBytes, layer);
}

/**
 * Reads the whole body into `ctx.rawBody`, which stays undefined if there is none. Throws an AppError: `body_too_large`, `request_timeout`,
 * `incomplete_body` when the client stops in the middle, `unsupported_encoding` for a Content-Encoding. The
 * error names `layer`, if one asked.
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
 * Hands the body to `take` piece by piece, in order, and resolves when the last one is taken. A client that waits for
 * `100 Continue` is told to send. Rejects with the same AppErrors as `receiveBody`, and with what `take` throws; the
 * request is paused then, and what is left of it is for whoever answers.
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
      // What still arrives must not throw an unhandled 'error'; the socket is closed by whoever answers.
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
    const timer = setTimeout(() => fail(tooSlow(limits.timeoutMs, layer)), limits.timeoutMs);
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
    options.failed?.catch(fail);
  });
}

function incomplete(): AppError {
  return new AppError('incomplete_body', 'The connection ended before the whole body had arrived.');
}

function tooLarge(maxBytes: number, layer: string | undefined): AppError {
  return new AppError(
    'body_too_large',
    `The body is larger than the ${maxBytes} bytes that this route takes.`,
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
