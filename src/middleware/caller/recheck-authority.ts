/**
 * Checks the caller again in the database before a change. Authentication may use a cached result that is up to
 * SECURITY_SESSION_RECHECK_SECONDS old. The effect of a change is permanent, so it must not be made by an admin whose role
 * was removed, an ended session or an API key revoked in another process within those seconds.
 *
 *     authenticate ... authorise ... body read | recheck-authority | idempotency, handler
 *
 * The layer runs after the body is received, because a body may arrive slowly, and before idempotency, so that a stored
 * response is replayed only to a caller who may still make the request. The handler gets the current principal. Permissions
 * on a single resource are the decision of the feature. A feature also checks inside its transaction if its work takes long
 * or if the change could give control of an account to another person (`Auth.requireAuthority`).
 *
 * A route can declare that cached authority is sufficient, with the reason (`authority` in http/route.ts).
 */

import type { Principal } from '../../auth/principal.ts';
import { AppError } from '../../errors.ts';
import type { Context, Done, Middleware } from '../../http/context.ts';
import type { RouteDeclaration } from '../../http/route-declaration.ts';
import { findDenial, needsFreshAuthority } from '../../http/route-policy.ts';
import type { Logger } from '../../observability/logger.ts';

export interface RecheckAuthorityOptions {
  readonly log: Logger;
}

const layer = 'recheck-authority';

export function recheckAuthority({ log }: RecheckAuthorityOptions): Middleware {
  function admit(ctx: Context, route: RouteDeclaration, principal: Principal): void {
    ctx.principal = principal;
    const denial = findDenial(route, principal);
    if (denial === undefined) return;
    log.warning('auth.access.denied', {
      user_id: principal.userId,
      ...(principal.kind === 'apiKey' && { key_id: principal.keyId }),
      reason: denial.reason,
      method: ctx.method,
      route: route.path,
      client_address: ctx.clientAddress,
    });
    throw new AppError('forbidden', denial.detail, { layer });
  }

  return function recheckAuthority(ctx, next): Done {
    if (ctx.identifyNow === undefined || ctx.match.kind !== 'found') return next(ctx);
    const { route } = ctx.match.value;
    if (!needsFreshAuthority(route)) return next(ctx);
    return ctx.identifyNow().then((principal) => {
      admit(ctx, route, principal);
      return next(ctx);
    });
  };
}
