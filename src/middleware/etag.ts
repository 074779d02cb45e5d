import { hash } from 'node:crypto';
import { isUnmodifiedSince, matchesWeakly } from '../http/conditional.ts';
import type { Context, Middleware } from '../http/context.ts';

/**
 * Conditional reading (RFC 9110, section 13): a client that has the current representation gets 304 and no body.
 * A handler may give an `etag` of its own, such as a row's version; a route that declares `etag: true` gets one
 * made from the content. If-None-Match counts before If-Modified-Since. Conditions on writing (If-Match) belong to the
 * handler: only it can check and write in one step.
 */
export function etag(): Middleware {
  return function etag(ctx, next) {
    const done = next(ctx);
    if (done !== undefined) return done.then(() => apply(ctx));
    apply(ctx);
    return undefined;
  };
}

function apply(ctx: Context): void {
  const { headers, payload, match } = ctx;
  if (ctx.status !== 200 || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return;
  const makesTag = match.kind === 'found' && match.value.route.etag === true;
  if (
    makesTag &&
    headers.etag === undefined &&
    (typeof payload === 'string' || payload instanceof Uint8Array)
  ) {
    headers.etag = `"${hash('sha1', payload, 'base64').slice(0, 27)}"`;
  }
  // The payload stays for the layers outside, whose headers are the same for a 304; it is not sent.
  if (isFresh(ctx)) ctx.status = 304;
}

function isFresh({ request, headers }: Context): boolean {
  const noneMatch = request.headers['if-none-match'];
  if (noneMatch !== undefined)
    return typeof headers.etag === 'string' && matchesWeakly(noneMatch, headers.etag);
  const modifiedSince = request.headers['if-modified-since'];
  const modified = headers['last-modified'];
  return (
    modifiedSince !== undefined && typeof modified === 'string' && isUnmodifiedSince(modifiedSince, modified)
  );
}
