import { clientKey } from '../http/addresses.ts';
import { after } from '../http/compose.ts';
import type { Context, Middleware } from '../http/context.ts';
import { addQuotas, describeQuotas, overQuotaError, showStanding } from '../http/headers/ratelimit-fields.ts';
import type { Decision, Limit, LimitStore } from '../limits/limit-store.ts';
import type { Logger } from '../observability/logger.ts';

export interface RateLimitOptions {
  readonly log: Logger;
  readonly limit: Limit;
  readonly store: LimitStore;
}

/**
 * The limit by address: an IPv6 client counts by its /64. It stands before authentication, so it holds for those
 * who guess credentials too; it is not a limiter per user, and one address may stand for many people behind one
 * router. Refused messages count like all others. Routes that declare `limit: 'exempt'` (probes) are not counted, nor is
 * a preflight of an allowed origin, which has been answered before.
 *
 * The answer says where the client stands, and a refusal when to come back (http/headers/ratelimit-fields.ts).
 */
export function rateLimit({ log, limit, store }: RateLimitOptions): Middleware {
  const quotas = describeQuotas(limit.policies);

  function apply(ctx: Context, decision: Decision): void {
    addQuotas(ctx.headers, quotas);
    showStanding(ctx.headers, decision);
    if (decision.allowed) return;
    const { name, quota } = decision.policy;
    log.warning('rate_limit.exceeded', { client_address: ctx.clientAddress, policy: name, quota });
    throw overQuotaError(decision, 'rate-limit');
  }

  return function rateLimit(ctx, next) {
    if (ctx.isProbe && ctx.messageError === undefined) return next(ctx);
    return after(store.take(limit, clientKey(ctx.clientAddress)), (decision) => {
      apply(ctx, decision);
      return next(ctx);
    });
  };
}
