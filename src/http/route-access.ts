import type { Principal } from '../auth/principal.ts';
import { StartError } from '../errors.ts';
import type { Route } from './route.ts';

/** Whether a route lets in everybody, known or not. */
export function isOpen({ auth }: Route): boolean {
  return auth === 'none' || auth === 'own';
}

/** Throws a StartError if a route lets everybody in, and asks for a role or a scope as if it did not. */
export function assertRouteAccess(routes: readonly Route[]): void {
  const unclear = routes.find((route) => isOpen(route) && (route.roles ?? route.scopes) !== undefined);
  if (unclear === undefined) return;
  throw new StartError(
    `${unclear.method} ${unclear.path} declares roles or scopes, and auth: '${unclear.auth}', which asks for none: let auth be user, apiKey or any.`,
  );
}

/** Methods that change nothing (RFC 9110, section 9.2.1), of those that a route can have. */
export function isSafe({ method }: Pick<Route, 'method'>): boolean {
  return method === 'GET';
}

/**
 * Whether the caller of a route is checked again right before the handler runs, against the database: by default where
 * something is changed.
 */
export function needsFreshAuthority(route: Route): boolean {
  return route.authority === undefined ? !isSafe(route) : route.authority === 'fresh';
}

/** Why a caller may not use a route, for the log, and as a sentence for the client. */
export interface Denial {
  readonly reason: 'kind' | 'role' | 'scope';
  readonly detail: string;
}

/** Why this caller may not use this route; undefined if it may. */
export function findDenial({ auth, roles, scopes = [] }: Route, principal: Principal): Denial | undefined {
  if (auth === 'user' && principal.kind !== 'session') {
    return {
      reason: 'kind',
      detail: 'An API key is not enough for this: it needs a user who has signed in.',
    };
  }
  if (auth === 'apiKey' && principal.kind !== 'apiKey') {
    return { reason: 'kind', detail: 'This is for programs: it needs an API key, and no access token.' };
  }
  if (roles !== undefined && !roles.includes(principal.role)) {
    return { reason: 'role', detail: `This needs the role ${roles.join(' or ')}.` };
  }
  if (principal.kind === 'session') return undefined;
  const missing = scopes.filter((scope) => !principal.scopes.has(scope));
  if (missing.length > 0) {
    return { reason: 'scope', detail: `This API key lacks the scope ${missing.join(' and ')}.` };
  }
  return undefined;
}
