import { after } from '../http/compose.ts';
import { clientKey } from '../http/connection/addresses.ts';
import type { Context, Done, Middleware, Next } from '../http/context.ts';
import { addQuotas, describeQuotas, overQuotaError, showStanding } from '../http/headers/ratelimit-fields.ts';
import { rejectRequest } from '../http/problem.ts';
import type { Decision, Limit, LimitStore } from '../limits/limit-store.ts';
import { quoteText } from '../observability/log/log-text.ts';
import type { RejectedClients } from '../observability/rejected-clients.ts';

export interface RateLimitOptions {
  readonly rejected: RejectedClients;
  readonly limit: Limit;
  readonly store: LimitStore;
}

/**
 * Limits requests by client address; an IPv6 client counts by its /64. The layer runs before authentication, so it also
 * limits the guessing of credentials. It is not a limit per user: many people behind one router share an address. Invalid
 * messages count like all others. Routes that declare `limit: 'exempt'` (probes) do not count, and neither does a preflight
 * of an allowed origin, which `cors` has already answered.
 *
 * The response states the remaining quota, and a rejection states when to retry (http/headers/ratelimit-fields.ts).
 */
export function rateLimit({ rejected, limit, store }: RateLimitOptions): Middleware {
  const quotas = describeQuotas(limit.policies);

  function apply(ctx: Context, decision: Decision, next: Next): Done {
    addQuotas(ctx.headers, quotas);
    showStanding(ctx.headers, decision);
    if (decision.allowed) return next(ctx);
    const { name, quota } = decision.policy;
    rejected.report(ctx, {
      code: 'rate_limited',
      event: 'rate_limit.exceeded',
      json: `,"policy":${quoteText(name)},"quota":${quota}`,
    });
    return rejectRequest(ctx, overQuotaError(decision, 'rate-limit'));
  }

  return function rateLimit(ctx, next) {
    if (ctx.isProbe && ctx.messageError === undefined) return next(ctx);
    return after(store.take(limit, clientKey(ctx.clientAddress)), (decision) => apply(ctx, decision, next));
  };
}
