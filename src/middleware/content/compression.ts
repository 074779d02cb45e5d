import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { brotliCompress, constants, createBrotliCompress, createGzip, gzip } from 'node:zlib';
import { after } from '../../http/compose.ts';
import type { Context, Done, Middleware } from '../../http/context.ts';
import { codedTag } from '../../http/headers/conditional.ts';
import { preferredEncoding } from '../../http/headers/negotiate.ts';

export interface CompressionOptions {
  /** The minimum size to compress. Below about one packet, compression saves nothing. */
  readonly minBytes: number;
}

const compressible = /^(?:text\/|application\/(?:[\w.-]+\+)?(?:json|xml|javascript)|image\/svg\+xml)/;
const codings = ['br', 'gzip'] as const;

// Quality 4 costs about as much as gzip and compresses better. The default, 11, is meant for static files.
const brotliOptions = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };
const compress = {
  br: (bytes: Uint8Array | string) => promisify(brotliCompress)(bytes, brotliOptions),
  gzip: (bytes: Uint8Array | string) => promisify(gzip)(bytes),
};
const compressStream = { br: () => createBrotliCompress(brotliOptions), gzip: () => createGzip() };

/**
 * Compresses responses for clients that accept it, in the thread pool of libuv. It compresses text-like types from
 * `minBytes`, and skips responses that already have a coding or specify `no-transform`. A compressed response is another
 * representation and needs its own validator (RFC 9110, section 8.8.3.3): `"v1"` becomes `"v1-gzip"`. A 304 gets the same
 * validator and Vary as the corresponding 200.
 */
export function compression({ minBytes }: CompressionOptions): Middleware {
  return function compression(ctx, next) {
    return after(next(ctx), () => compressReply(ctx, minBytes));
  };
}

function compressReply(ctx: Context, minBytes: number): Done {
  const { payload, headers, status } = ctx;
  if (payload === undefined || !isCompressible(ctx, minBytes)) return undefined;
  ctx.vary('Accept-Encoding');
  const accepted = ctx.request.headers['accept-encoding'];
  const coding = preferredEncoding(typeof accepted === 'string' ? accepted : undefined, codings);
  if (coding === undefined) return undefined;

  if (typeof headers.etag === 'string') headers.etag = codedTag(headers.etag, coding);
  if (status === 304) return undefined;
  headers['content-encoding'] = coding;
  delete headers['content-length'];
  if (payload instanceof Readable) {
    const coder = compressStream[coding]();
    payload.on('error', (error) => coder.destroy(error));
    coder.on('close', () => payload.destroy());
    ctx.payload = payload.pipe(coder);
    return undefined;
  }
  return compress[coding](payload).then((coded) => {
    ctx.payload = coded;
  });
}

function isCompressible({ payload, headers, status, error }: Context, minBytes: number): boolean {
  // A problem is short.
  if (error !== undefined) return false;
  const type = headers['content-type'];
  if (status === 206 || headers['content-encoding'] !== undefined) return false;
  if (typeof type !== 'string' || !compressible.test(type) || type.startsWith('text/event-stream'))
    return false;
  if (String(headers['cache-control'] ?? '').includes('no-transform')) return false;
  if (typeof payload === 'string')
    return payload.length >= minBytes || Buffer.byteLength(payload) >= minBytes;
  if (payload instanceof Uint8Array) return payload.byteLength >= minBytes;
  const length = headers['content-length'];
  return length === undefined || Number(length) >= minBytes;
}
