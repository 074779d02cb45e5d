/**
 * The limits that know who asks, and for what: the quotas that a route declares for itself, and the quota of a user
 * over all routes, addresses, sessions and API keys. It stands behind authentication and authorisation: what is
 * refused there spends no user's permits, so nobody can use up the quota of somebody else, and a flood of bad
 * credentials meets the limit by address alone (rate-limit.ts), which this one does not replace.
 *
 * All quotas must allow. They are asked one after another, and the first that refuses ends the request: first those of
 * the route, in the order of their declaration, since they are the strictest; then that of the user. So a request
 * that the route refuses costs the user nothing, while a permit of the route stays spent when the user's quota
 * refuses afterwards: too little may be let in, never too much.
 */

import { clientKey } from '../http/addresses.ts';
import { after } from '../http/compose.ts';
import type { Context, Done, Middleware, Next } from '../http/context.ts';
import { addQuotas, describeQuotas, overQuotaError, showStanding } from '../http/headers/ratelimit-fields.ts';
import type { RouteDeclaration, RouteLimit } from '../http/route-declaration.ts';
import type { Decision, Limit, LimitStore, Policy } from '../limits/limit-store.ts';
import type { Logger } from '../observability/logger.ts';

export interface CallerLimitOptions {
  readonly log: Logger;
  readonly store: LimitStore;
  /** Requests of one user in any 60 seconds. */
  readonly userPerMinute: number;
}

/** A limit of one policy, and whom it counts. */
interface Quota {
  readonly limit: Limit;
  readonly by: RouteLimit['by'];
}

/** The quotas of a request in the order in which they are asked, and what the answer says of them. */
interface Quotas {
  readonly list: readonly Quota[];
  readonly described: string;
}

export function callerLimit({ log, store, userPerMinute }: CallerLimitOptions): Middleware {
  const user: RouteLimit = { name: 'user', by: 'user', quota: userPerMinute, windowMs: 60_000 };
  const anonymous = createQuotasByRoute([]);
  const signedIn = createQuotasByRoute([user]);

  function takeFrom(at: number, list: readonly Quota[], ctx: Context, next: Next): Done {
    const quota = list[at];
    if (quota === undefined) return next(ctx);
    return after(store.take(quota.limit, keyOf(ctx, quota.by)), (decision) => {
      apply(ctx, decision);
      return takeFrom(at + 1, list, ctx, next);
    });
  }

  function apply(ctx: Context, decision: Decision): void {
    showStanding(ctx.headers, decision);
    if (decision.allowed) return;
    const { name, quota } = decision.policy;
    log.warning('rate_limit.exceeded', {
      client_address: ctx.clientAddress,
      user_id: ctx.principal?.userId,
      policy: name,
      quota,
    });
    throw overQuotaError(decision, 'caller-limit');
  }

  return function callerLimit(ctx, next) {
    if (ctx.isProbe) return next(ctx);
    const { list, described } = (ctx.principal === undefined ? anonymous : signedIn)(ctx);
    if (list.length === 0) return next(ctx);
    addQuotas(ctx.headers, described);
    return takeFrom(0, list, ctx, next);
  };
}

/** Finds the quotas for a request: those of its route and `others`; made once for each route. */
function createQuotasByRoute(others: readonly RouteLimit[]): (ctx: Context) => Quotas {
  const known = new WeakMap<RouteDeclaration, Quotas>();
  const unmatched = prepare(others);
  return ({ match }) => {
    if (match.kind !== 'found') return unmatched;
    const { route } = match.value;
    const found = known.get(route);
    if (found !== undefined) return found;
    const made = prepare([...(route.limits ?? []), ...others]);
    known.set(route, made);
    return made;
  };
}

function prepare(limits: readonly RouteLimit[]): Quotas {
  const list = limits.map(({ name, by, quota, windowMs }): Quota => {
    const policy: Policy = { name, quota, windowMs };
    return { by, limit: { name, policies: [policy] } };
  });
  return { list, described: describeQuotas(limits) };
}

/** A user's id, or the address of somebody who has not signed in. An API key counts as its user. */
function keyOf({ principal, clientAddress }: Context, by: RouteLimit['by']): string {
  return by === 'user' && principal !== undefined ? `user:${principal.userId}` : clientKey(clientAddress);
}
