/**
 * Checks the caller again before a change, against the database. Authentication may rest on an answer that is up to
 * SECURITY_SESSION_RECHECK_SECONDS old; a request that changes something would outlive those seconds, so an admin whose role
 * was taken away, a session that was ended and an API key that was revoked in any other process must not make one.
 *
 *     authenticate ... authorise ... body read | recheck-authority | idempotency, handler
 *
 * It runs after the body was received, since a body may arrive slowly, and before idempotency, so that a stored answer is
 * replayed only to a caller who may still make the request. The handler sees the principal as the database has it now.
 * What a caller may do to one certain thing is decided by the feature, which also checks in its transaction where its
 * work takes long or where the change would give an account away (`Auth.requireAuthority`).
 *
 * A route can declare that cached authority is enough, with the reason (`authority` in http/route.ts).
 */

import type { Principal } from '../auth/principal.ts';
import { AppError } from '../errors.ts';
import type { Context, Done, Middleware } from '../http/context.ts';
import type { RouteDeclaration } from '../http/route-declaration.ts';
import { findDenial, needsFreshAuthority } from '../http/route-policy.ts';
import type { Logger } from '../observability/logger.ts';

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
