import type { Principal, SessionPrincipal } from '../auth/principal.ts';
import type { Context } from './context.ts';

/**
 * Who called, in a handler of a route that lets nobody in unknown (`auth` is `user`, `apiKey` or `any`). Throws when
 * nobody did, which would be a fault of the pipeline: the answer is a 500, and the handler does nothing.
 */
export function callerOf(ctx: Context): Principal {
  if (ctx.principal === undefined) throw new Error('The handler of an open route asks who called.');
  return ctx.principal;
}

/** The same in a handler of a route for those who have signed in (`auth: 'user'`). */
export function signedInCallerOf(ctx: Context): SessionPrincipal {
  const caller = callerOf(ctx);
  if (caller.kind !== 'session')
    throw new Error('The handler of a route for programs asks who has signed in.');
  return caller;
}
