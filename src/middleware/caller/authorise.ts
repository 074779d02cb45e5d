/**
 * Enforces the requirements of the route: `auth` is the kind of credential, `roles` the roles of the user, `scopes` the
 * scopes of the credential. A request without credentials gets 401 with a challenge; a caller without permission gets 403
 * with the reason. Permissions on a single resource (own or of another user) are the decision of the feature.
 *
 * Open routes pass. So do unknown paths and unknown methods of a path: 404 and 405 disclose nothing beyond the API document.
 */

import type { Principal } from '../../auth/principal.ts';
import { AppError } from '../../errors.ts';
import type { Context, Middleware } from '../../http/context.ts';
import { bearerChallenge } from '../../http/headers/bearer.ts';
import { rejectRequest } from '../../http/problem.ts';
import type { RouteDeclaration } from '../../http/route-declaration.ts';
import { type Denial, findDenial } from '../../http/route-policy.ts';
import type { Logger } from '../../observability/logger.ts';

export interface AuthoriseOptions {
  readonly log: Logger;
  /** The protection space, sent in `WWW-Authenticate`. */
  readonly realm: string;
  /** The name of the header that carries an API key. */
  readonly apiKeyHeader: string;
}

const layer = 'authorise';

export function authorise({ log, realm, apiKeyHeader }: AuthoriseOptions): Middleware {
  const challenge = bearerChallenge(realm);
  const credentialsFor = {
    user: 'sign in, and send the access token as "Authorization: Bearer <token>".',
    apiKey: `send an API key as "${apiKeyHeader}".`,
    any: `send an access token as "Authorization: Bearer <token>", or an API key as "${apiKeyHeader}".`,
  };

  function deny(
    ctx: Context,
    principal: Principal,
    { path }: RouteDeclaration,
    { reason, detail }: Denial,
  ): undefined {
    log.warning('auth.access.denied', {
      user_id: principal.userId,
      ...(principal.kind === 'apiKey' && { key_id: principal.keyId }),
      reason,
      method: ctx.method,
      route: path,
      client_address: ctx.clientAddress,
    });
    return rejectRequest(ctx, new AppError('forbidden', detail, { layer }));
  }

  return function authorise(ctx, next) {
    if (ctx.match.kind !== 'found') return next(ctx);
    const { route } = ctx.match.value;
    const { auth } = route;
    if (auth === 'none' || auth === 'own') return next(ctx);
    if (route.cache !== undefined) {
      // A cache must not return the response of one caller to another. The default, no-store, needs no Vary.
      ctx.vary('Authorization');
      ctx.vary(apiKeyHeader);
    }
    const { principal } = ctx;
    if (principal === undefined) {
      return rejectRequest(
        ctx,
        new AppError('unauthenticated', `This needs credentials: ${credentialsFor[auth]}`, {
          layer,
          headers: { 'www-authenticate': challenge },
        }),
      );
    }
    const denial = findDenial(route, principal);
    if (denial !== undefined) return deny(ctx, principal, route, denial);
    return next(ctx);
  };
}
