/**
 * The rules about who may call a route and how often: which declarations are contradictory, and whether a given caller may
 * use a given route. The layers `authorise`, `recheck-authority` and `caller-limit` apply them.
 */

import type { Principal } from '../auth/principal.ts';
import { StartError } from '../errors.ts';
import { assertCacheable } from './headers/cache-control.ts';
import type { RouteDeclaration, RouteLimit } from './route-declaration.ts';

/** Returns whether a route accepts every client, known or not. */
export function isOpen({ auth }: Pick<RouteDeclaration, 'auth'>): boolean {
  return auth === 'none' || auth === 'own';
}

/** Returns whether the method of a route is safe (RFC 9110, section 9.2.1). */
export function isSafe({ method }: Pick<RouteDeclaration, 'method'>): boolean {
  return method === 'GET';
}

/**
 * Returns whether the caller of a route is checked again right before the handler runs, against the database. By default the
 * routes that change something need that.
 */
export function needsFreshAuthority(route: RouteDeclaration): boolean {
  return route.authority === undefined ? !isSafe(route) : route.authority === 'fresh';
}

/** Why a caller may not use a route: `reason` for the log, `detail` for the client. */
export interface Denial {
  readonly reason: 'kind' | 'role' | 'scope';
  readonly detail: string;
}

/** Returns why this caller may not use this route; undefined if it may. */
export function findDenial(
  { auth, roles, scopes = [] }: RouteDeclaration,
  principal: Principal,
): Denial | undefined {
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
  // Scopes restrict API keys; a session may do everything that its user may do.
  if (principal.kind === 'session') return undefined;
  const missing = scopes.filter((scope) => !principal.scopes.has(scope));
  if (missing.length > 0) {
    return { reason: 'scope', detail: `This API key lacks the scope ${missing.join(' and ')}.` };
  }
  return undefined;
}

/**
 * Checks the declarations of all routes. Throws a StartError if an open route requires a role or a scope, if a quota is
 * invalid, if a route that depends on its caller has a public cache, if two routes use one name for different quotas, or if an open route with a cost has no limit.
 */
export function assertRoutePolicies(routes: readonly RouteDeclaration[]): void {
  const limitsByName = new Map<string, RouteLimit>();
  for (const route of routes) {
    const name = `${route.method} ${route.path}`;
    assertAccess(route, name);
    assertCostsLimited(route, name);
    assertCacheable(route, name);
    for (const limit of route.limits ?? []) {
      const other = limitsByName.get(limit.name) ?? limit;
      assertLimit(limit, other, `The limit "${limit.name}" of ${name}`);
      limitsByName.set(limit.name, limit);
    }
  }
}

function assertAccess(route: RouteDeclaration, name: string): void {
  if (!isOpen(route) || (route.roles ?? route.scopes) === undefined) return;
  throw new StartError(
    `${name} declares roles or scopes, but auth: '${route.auth}' requires no credentials: change auth to user, apiKey or any.`,
  );
}

/** The general limit does not protect against expensive requests, because it counts cheap requests as well. */
function assertCostsLimited(route: RouteDeclaration, name: string): void {
  const { costs = [], limits = [] } = route;
  if (!isOpen(route) || costs.length === 0 || limits.length > 0) return;
  throw new StartError(`${name} is open to every client and costs ${costs.join(', ')}: declare its limits.`);
}

/** Names that limits and quotas of the application itself have. */
const reservedNames = new Set(['address', 'minute', 'hour', 'user']);

function assertLimit(limit: RouteLimit, other: RouteLimit, subject: string): void {
  if (!/^[a-z][a-z0-9-]{0,31}$/.test(limit.name) || reservedNames.has(limit.name)) {
    throw new StartError(
      `${subject} needs another name: use a-z, 0-9 and -, and none of ${[...reservedNames].join(', ')}.`,
    );
  }
  if (![limit.quota, limit.windowMs / 1000].every((each) => Number.isInteger(each) && each > 0)) {
    throw new StartError(`${subject} needs a quota of at least 1, and a window of whole seconds.`);
  }
  if (other.by !== limit.by || other.quota !== limit.quota || other.windowMs !== limit.windowMs) {
    throw new StartError(
      `${subject} differs from that of another route: give it another name, or the same numbers.`,
    );
  }
}
