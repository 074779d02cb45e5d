import type { Principal, SessionPrincipal } from '../auth/principal.ts';
import type { Context } from './context.ts';

/**
 * Returns the caller, for the handler of a route that requires credentials (`auth` is `user`, `apiKey` or `any`). Throws if
 * there is none, which is a bug: the response is a 500.
 */
export function callerOf(ctx: Context): Principal {
  if (ctx.principal === undefined) throw new Error('callerOf was called in the handler of an open route.');
  return ctx.principal;
}

/** Returns the signed-in caller, for the handler of a route with `auth: 'user'`. */
export function signedInCallerOf(ctx: Context): SessionPrincipal {
  const caller = callerOf(ctx);
  if (caller.kind !== 'session')
    throw new Error('signedInCallerOf was called in the handler of a route that API keys may call.');
  return caller;
}
