/**
 * The limits by caller and route: the quotas that a route declares, and the quota per user across all routes, addresses,
 * sessions and API keys. The layer runs after authentication and authorisation. A request rejected there spends no permit
 * of a user, so no client can use up the quota of another user. A flood of invalid credentials is limited by address only
 * (rate-limit.ts), which this layer does not replace.
 *
 * All quotas must allow the request. They are checked in sequence, and the first exceeded quota rejects it: first the
 * quotas of the route in the order of their declaration, because they are the strictest, then the quota of the user. So a
 * request rejected by the route costs no permit of the user. If the quota of the user rejects afterwards, the permit of the
 * route stays spent: the layer may allow too few requests, never too many.
 */

import { after } from '../../http/compose.ts';
import { clientKey } from '../../http/connection/addresses.ts';
import type { Context, Done, Middleware, Next } from '../../http/context.ts';
import {
  addQuotas,
  describeQuotas,
  overQuotaError,
  showStanding,
} from '../../http/headers/ratelimit-fields.ts';
import type { RouteDeclaration, RouteLimit } from '../../http/route-declaration.ts';
import type { Decision, Limit, LimitStore } from '../../limits/limit-store.ts';
import { quoteText } from '../../observability/log/log-text.ts';
import type { RejectedClients } from '../../observability/rejected-clients.ts';

export interface CallerLimitOptions {
  readonly rejected: RejectedClients;
  readonly store: LimitStore;
  /** Requests of one user in any 60 seconds. */
  readonly userPerMinute: number;
}

/** Limits with one policy each that count by the same thing: user or address. */
interface Quotas {
  readonly limits: readonly Limit[];
  readonly by: RouteLimit['by'];
}

/** The quotas of a request in the order of checking, and their description for the response header. */
interface PreparedQuotas {
  readonly list: readonly Quotas[];
  readonly described: string;
}

export function callerLimit({ rejected, store, userPerMinute }: CallerLimitOptions): Middleware {
  const user: RouteLimit = { name: 'user', by: 'user', quota: userPerMinute, windowMs: 60_000 };
  const anonymous = createQuotasByRoute([]);
  const signedIn = createQuotasByRoute([user]);

  function takeFrom(at: number, list: readonly Quotas[], ctx: Context, next: Next): Done {
    const quotas = list[at];
    if (quotas === undefined) return next(ctx);
    return after(store.takeEach(quotas.limits, keyOf(ctx, quotas.by)), (decisions) => {
      for (const decision of decisions) apply(ctx, decision);
      return takeFrom(at + 1, list, ctx, next);
    });
  }

  function apply(ctx: Context, decision: Decision): void {
    showStanding(ctx.headers, decision);
    if (decision.allowed) return;
    const { name, quota } = decision.policy;
    const user = ctx.principal === undefined ? '' : `,"user_id":${ctx.principal.userId}`;
    rejected.report(ctx, {
      code: 'rate_limited',
      event: 'rate_limit.exceeded',
      json: `${user},"policy":${quoteText(name)},"quota":${quota}`,
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

/** Returns a function that finds the quotas of a request: those of its route, then `others`. Computed once per route. */
function createQuotasByRoute(others: readonly RouteLimit[]): (ctx: Context) => PreparedQuotas {
  const known = new WeakMap<RouteDeclaration, PreparedQuotas>();
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

/** Joins consecutive limits that count by the same thing, so that a shared store decides them in one round trip. */
function prepare(limits: readonly RouteLimit[]): PreparedQuotas {
  const list: { limits: Limit[]; by: RouteLimit['by'] }[] = [];
  for (const { name, by, quota, windowMs } of limits) {
    const limit: Limit = { name, policies: [{ name, quota, windowMs }] };
    const last = list.at(-1);
    if (last?.by === by) last.limits.push(limit);
    else list.push({ limits: [limit], by });
  }
  return { list, described: describeQuotas(limits) };
}

/** Returns the key to count by: the id of the user, or the address of an anonymous client. An API key counts as its user. */
function keyOf({ principal, clientAddress }: Context, by: RouteLimit['by']): string {
  return by === 'user' && principal !== undefined ? `user:${principal.userId}` : clientKey(clientAddress);
}
