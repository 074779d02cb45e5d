/**
 * Rejects requests with 503 `overloaded` and `Retry-After` while the process is overloaded (observability/load-shedder.ts), so
 * that those that it admits are answered in time. The layer is outside all others except `metrics`: a rejection must cost a
 * small part of a request, or it would itself be the overload. So it is not logged by itself, its body is made of prepared
 * parts, and no layer inside has run: the request has no log lines, counts against no rate limit, and its body is not read.
 *
 * Signed-in callers are rejected last. Whether a caller is signed in is decided without checking its credential, which an
 * attacker could make expensive: the credential must have been accepted before and still be in the cache of the authenticator.
 * So made-up credentials give no priority, and a caller has it from its second request on.
 *
 * Probes are never rejected. A request counts until its response is ready. Not counted: the time in which its body arrives, or
 * in which its response is sent, because the client decides how long that takes.
 */

import type { Authenticator } from '../auth/authenticator.ts';
import { AppError } from '../errors.ts';
import { observe } from '../http/compose.ts';
import type { Context, Done, Middleware, Next } from '../http/context.ts';
import { bearerToken } from '../http/headers/bearer.ts';
import { createUuids } from '../http/parameters/uuid.ts';
import { pathReference } from '../http/path-reference.ts';
import { describeProblem, problemContentType } from '../http/problem.ts';
import type { LoadShedder } from '../observability/load-shedder.ts';

export interface LoadSheddingOptions {
  readonly shedder: LoadShedder;
  readonly authenticator: Pick<Authenticator, 'isKnown'>;
  /** The name of the header that carries an API key. */
  readonly apiKeyHeader: string;
  /** Returns the CORS fields for a page of this origin; undefined if it may not read the response. */
  readonly fieldsFor: (origin: string) => Readonly<Record<string, string>> | undefined;
}

/** In turns, so that the clients do not all return at the same time. */
const retrySeconds = ['1', '2', '3'];

export function loadShedding(options: LoadSheddingOptions): Middleware {
  const { shedder, authenticator, apiKeyHeader, fieldsFor } = options;
  const keyField = apiKeyHeader.toLowerCase();
  const newId = createUuids();
  const body = createBody();
  let rejected = 0;

  function isSignedIn({ request: { headers } }: Context): boolean {
    const key = headers[keyField];
    if (typeof key === 'string') return authenticator.isKnown({ kind: 'apiKey', key });
    const token = bearerToken(headers.authorization);
    return token !== undefined && authenticator.isKnown({ kind: 'bearer', token });
  }

  function reject(ctx: Context): undefined {
    const { headers, request } = ctx;
    const { origin } = request.headers;
    rejected += 1;
    ctx.id = newId();
    headers['x-request-id'] = ctx.id;
    headers['retry-after'] = retrySeconds[rejected % retrySeconds.length] ?? '1';
    headers['cache-control'] = 'no-store';
    headers['x-content-type-options'] = 'nosniff';
    headers['content-security-policy'] = "default-src 'none'; frame-ancestors 'none'";
    if (origin !== undefined) {
      headers.vary = 'Origin';
      Object.assign(headers, fieldsFor(origin));
    }
    ctx.error = overload;
    ctx.reply(503, body(pathReference(ctx.target.raw), ctx.id), problemContentType);
  }

  return function loadShedding(ctx, next) {
    if (ctx.isProbe) return next(ctx);
    if (!shedder.admit(isSignedIn(ctx) ? 'signed_in' : 'anonymous')) return reject(ctx);
    if (ctx.bodyState === 'absent') return observe(ctx, next, shedder.release);
    return receiveUncounted(ctx, next, shedder);
  };
}

/** Runs a request with a body, which counts from the moment at which its body has arrived. */
function receiveUncounted(ctx: Context, next: Next, shedder: LoadShedder): Done {
  let hasEnded = false;
  let isCounted = false;
  shedder.release();
  ctx.request.once('end', () => {
    if (hasEnded) return;
    isCounted = true;
    shedder.resume();
  });
  return observe(ctx, next, () => {
    hasEnded = true;
    if (isCounted) shedder.release();
  });
}

const overload = new AppError('overloaded', 'The server has too much work at the moment: try again.', {
  layer: 'load-shedding',
});

/** Returns the function that writes the problem. A path reference has no character that JSON escapes. */
function createBody(): (instance: string | undefined, id: string) => string {
  const mark = '@';
  const partsOf = (about: { instance?: string }) =>
    JSON.stringify(describeProblem(overload, { ...about, requestId: mark })).split(mark);
  const [start = '', middle = '', end = ''] = partsOf({ instance: mark });
  const [startWithout = '', endWithout = ''] = partsOf({});
  return (instance, id) =>
    instance === undefined ? `${startWithout}${id}${endWithout}` : `${start}${instance}${middle}${id}${end}`;
}
