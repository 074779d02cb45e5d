import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError } from '../../errors.ts';
import { after } from '../../http/compose.ts';
import type { Context, Middleware } from '../../http/context.ts';
import {
  isAny,
  isUnmodifiedSince,
  matchesStrongly,
  matchesWeakly,
  mayChange,
} from '../../http/headers/conditional.ts';
import { writeConditions } from '../../http/parameters/parameters.ts';

/**
 * Conditional requests (RFC 9110, section 13), in the order of section 13.2.2:
 *
 *     GET, HEAD                If-Match, else If-Unmodified-Since     false: 412
 *                              If-None-Match, else If-Modified-Since  false: 304 without a body
 *     PATCH, DELETE of a row   the handler evaluates them, in the transaction that changes the row (`versionCondition`)
 *     all others               have no entity tag: If-Match with a list of tags is 412 before the handler runs
 *
 * A handler may set an `etag`, such as the version of a row. A route that declares `etag: true` gets one computed from the
 * content. Conditions are evaluated only if the response would be a success: a 404 stays a 404 (section 13.2.1).
 */
export function etag(): Middleware {
  return function etag(ctx, next) {
    if (!isRead(ctx)) assertNoFailingCondition(ctx);
    return after(next(ctx), () => apply(ctx));
  };
}

function isRead({ method }: Context): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Throws for a condition that cannot hold for a resource without an entity tag, before the handler changes anything. */
function assertNoFailingCondition({ match, method, request: { headers } }: Context): void {
  if (match.kind !== 'found' || match.value.route.headers === writeConditions) return;
  // The target of a POST often has no representation, so `If-None-Match: *` holds.
  const conditions = method === 'POST' ? { 'if-match': headers['if-match'] } : headers;
  if (mayChange(conditions, undefined)) return;
  throw new AppError(
    'precondition_failed',
    'This resource has no entity tag: repeat the request without If-Match and If-None-Match.',
  );
}

function apply(ctx: Context): undefined {
  const { headers, payload, match } = ctx;
  if (ctx.status !== 200 || !isRead(ctx)) return;
  const makesTag = match.kind === 'found' && match.value.route.etag === true;
  if (
    makesTag &&
    headers.etag === undefined &&
    (typeof payload === 'string' || payload instanceof Uint8Array)
  ) {
    headers.etag = `"${hash('sha1', payload, 'base64').slice(0, 27)}"`;
  }
  if (!meetsPreconditions(ctx)) {
    if (payload instanceof Readable) payload.destroy();
    throw new AppError(
      'precondition_failed',
      'The current representation does not match If-Match or If-Unmodified-Since: read it without them.',
    );
  }
  // Keep the payload: the outer layers compute the same headers for a 304. It is not sent.
  if (isNotModified(ctx)) ctx.status = 304;
}

function meetsPreconditions({ request, headers }: Context): boolean {
  const match = request.headers['if-match'];
  if (match !== undefined)
    return typeof headers.etag === 'string' ? matchesStrongly(match, headers.etag) : isAny(match);
  const since = request.headers['if-unmodified-since'];
  const modified = headers['last-modified'];
  // An invalid date is ignored, and so is the condition on a resource without a date (section 13.1.4).
  if (since === undefined || typeof modified !== 'string' || Number.isNaN(Date.parse(since))) return true;
  return isUnmodifiedSince(since, modified);
}

function isNotModified({ request, headers }: Context): boolean {
  const noneMatch = request.headers['if-none-match'];
  if (noneMatch !== undefined)
    return typeof headers.etag === 'string' ? matchesWeakly(noneMatch, headers.etag) : isAny(noneMatch);
  const modifiedSince = request.headers['if-modified-since'];
  const modified = headers['last-modified'];
  return (
    modifiedSince !== undefined && typeof modified === 'string' && isUnmodifiedSince(modifiedSince, modified)
  );
}
