import { AppError } from '../errors.ts';
import { clientKey } from '../http/addresses.ts';
import type { Context, Done, Middleware } from '../http/context.ts';
import type { Decision, LimitStore, Policy } from '../limits/limit-store.ts';
import type { Logger } from '../observability/logger.ts';

export interface RateLimitOptions {
  readonly log: Logger;
  readonly policies: readonly Policy[];
  readonly store: LimitStore;
}

/**
 * The limit by address: an IPv6 client counts by its /64. It stands before authentication, so it holds for those
 * who guess credentials too; it is not a limiter per user, and one address may stand for many people behind one
 * router. Routes that declare `limit: 'exempt'` (probes) are not counted, nor is a preflight, which has ended before.
 *
 * The answer says where the client stands (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy` names
 * the quotas, `RateLimit` the one that is nearest to its end; a refusal has `Retry-After` in whole seconds, rounded
 * up, after which a request is let in.
 */
export function rateLimit({ log, policies, store }: RateLimitOptions): Middleware {
  const policyHeader = policies
    .map(({ name, quota, windowMs }) => `"${name}";q=${quota};w=${windowMs / 1000}`)
    .join(', ');

  function apply(ctx: Context, decision: Decision): void {
    const { policy, remaining, resetMs, allowed } = decision;
    const resetSeconds = Math.ceil(resetMs / 1000);
    ctx.headers['ratelimit-policy'] = policyHeader;
    ctx.headers.ratelimit = `"${policy.name}";r=${remaining};t=${resetSeconds}`;
    if (allowed) return;
    log.warning('rate_limit.exceeded', {
      client_address: ctx.clientAddress,
      policy: policy.name,
      quota: policy.quota,
    });
    throw new AppError(
      'rate_limited',
      `More than ${policy.quota} requests in ${policy.windowMs / 1000} seconds. Wait ${resetSeconds} seconds.`,
      { layer: 'rate-limit', headers: { 'retry-after': String(Math.max(1, resetSeconds)) } },
    );
  }

  return function rateLimit(ctx, next): Done {
    if (ctx.isProbe) return next(ctx);
    const decision = store.take(clientKey(ctx.clientAddress));
    if (!(decision instanceof Promise)) {
      apply(ctx, decision);
      return next(ctx);
    }
    return decision.then((decided) => {
      apply(ctx, decided);
      return next(ctx);
    });
  };
}
