/**
 * Lets in whom the route wants: `auth` says what kind of credential, `roles` what the user must be, `scopes` what the
 * credential must be good for. Who showed none gets 401 with a challenge; who may not gets 403 with the reason. What a
 * caller may do to one certain thing (its own, another's) is not known here; the feature decides it.
 *
 * A route that is open, or that there is not, passes, and so does a method that a path does not have: 404 and 405 tell
 * nothing that the API document does not.
 */

import type { Principal } from '../auth/principal.ts';
import { AppError } from '../errors.ts';
import type { Context, Middleware } from '../http/context.ts';
import { bearerChallenge } from '../http/headers/bearer.ts';
import type { RouteDeclaration } from '../http/route-declaration.ts';
import { type Denial, findDenial } from '../http/route-policy.ts';
import type { Logger } from '../observability/logger.ts';

export interface AuthoriseOptions {
  readonly log: Logger;
  /** What the credentials are for, in `WWW-Authenticate`. */
  readonly realm: string;
  /** The name of the header that has an API key. */
  readonly apiKeyHeader: string;
}

const layer = 'authorise';

export function authorise({ log, realm, apiKeyHeader }: AuthoriseOptions): Middleware {
  const challenge = bearerChallenge(realm);
  const ways = {
    user: 'sign in, and send the access token as "Authorization: Bearer <token>".',
    apiKey: `send an API key as "${apiKeyHeader}".`,
    any: `send an access token as "Authorization: Bearer <token>", or an API key as "${apiKeyHeader}".`,
  };

  function deny(
    ctx: Context,
    principal: Principal,
    { path }: RouteDeclaration,
    { reason, detail }: Denial,
  ): never {
    log.warning('auth.access.denied', {
      user_id: principal.userId,
      ...(principal.kind === 'apiKey' && { key_id: principal.keyId }),
      reason,
      method: ctx.method,
      route: path,
      client_address: ctx.clientAddress,
    });
    throw new AppError('forbidden', detail, { layer });
  }

  return function authorise(ctx, next) {
    if (ctx.match.kind !== 'found') return next(ctx);
    const { route } = ctx.match.value;
    const { auth } = route;
    if (auth === 'none' || auth === 'own') return next(ctx);
    if (route.cache !== undefined) {
      // What one caller may see, a cache must not show to another; the default, no-store, needs no such word.
      ctx.vary('Authorization');
      ctx.vary(apiKeyHeader);
    }
    const { principal } = ctx;
    if (principal === undefined) {
      throw new AppError('unauthenticated', `This needs credentials: ${ways[auth]}`, {
        layer,
        headers: { 'www-authenticate': challenge },
      });
    }
    const denial = findDenial(route, principal);
    if (denial !== undefined) deny(ctx, principal, route, denial);
    return next(ctx);
  };
}
