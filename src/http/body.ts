/**
 * Reading a request's body: its size is limited while it arrives, whatever was declared, and it must arrive
 * before a deadline. Nothing is buffered of a body that is refused by its declared length.
 */

import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';
import type { Context } from './context.ts';

export interface BodyLimits {
  /** The largest body in bytes. */
  readonly maxBytes: number;
  /** How long the body may take to arrive, in milliseconds. */
  readonly timeoutMs: number;
}

/** Whether the request has a body: it declares a length that is not 0, or sends chunks (RFC 9112, section 6). */
export function hasBody(request: IncomingMessage): boolean {
  if (request.headers['transfer-encoding'] !== undefined) return true;
  const length = request.headers['content-length'];
  return length !== undefined && length !== '0';
}

/**
 * Reads the whole body into `ctx.rawBody`. Throws an AppError: `body_too_large`, `request_timeout`,
 * `incomplete_body` when the client stops in the middle, `unsupported_encoding` for a Content-Encoding. The
 * error names `layer`, if one asked.
 */
export async function receiveBody(ctx: Context, limits: BodyLimits, layer?: string): Promise<void> {
  const { request } = ctx;
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
  if (ctx.expectsContinue) ctx.response.writeContinue();
  ctx.rawBody = await collect(request, limits, layer);
}

function collect(request: IncomingMessage, limits: BodyLimits, layer: string | undefined): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => {
      settle(() => reject(tooSlow(limits.timeoutMs, layer)));
    }, limits.timeoutMs);

    const settle = (then: () => void) => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      // What still arrives must not throw an unhandled 'error'; the socket is closed by whoever answers.
      request.on('error', () => {});
      then();
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size > limits.maxBytes) {
        request.pause();
        settle(() => reject(tooLarge(limits.maxBytes, layer)));
        return;
      }
      chunks.push(chunk);
    };
    const onEnd = () => {
      const only = chunks.length === 1 ? chunks[0] : undefined;
      settle(() => resolve(only ?? Buffer.concat(chunks, size)));
    };
    const onClose = () => {
      settle(() =>
        reject(new AppError('incomplete_body', 'The connection ended before the whole body had arrived.')),
      );
    };
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
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
