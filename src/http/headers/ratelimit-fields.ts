/**
 * The quota fields of a response (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy` lists all quotas that apply to the
 * request, `RateLimit` shows the one with the fewest remaining requests. Several layers can limit a request. Each layer adds its
 * own quotas, and replaces `RateLimit` only if its quota has fewer remaining requests.
 */

import { AppError } from '../../errors.ts';
import type { ResponseHeaders } from '../context.ts';

/** At most `quota` requests in any `windowMs` milliseconds. */
export interface Quota {
  /** Letters a to z, digits and hyphens. */
  readonly name: string;
  readonly quota: number;
  readonly windowMs: number;
}

/** The state of a quota for one client. */
export interface Standing {
  readonly allowed: boolean;
  readonly policy: Quota;
  readonly remaining: number;
  /** Milliseconds until one more request is allowed. */
  readonly resetMs: number;
}

/** Returns the quotas as items of `RateLimit-Policy`: `"minute";q=70;w=60, "hour";q=1000;w=3600`. */
export function describeQuotas(quotas: readonly Quota[]): string {
  return quotas.map(({ name, quota, windowMs }) => `"${name}";q=${quota};w=${windowMs / 1000}`).join(', ');
}

/** Adds the result of `describeQuotas` to the quotas of the outer layers. */
export function addQuotas(headers: ResponseHeaders, described: string): void {
  const present = headers['ratelimit-policy'];
  headers['ratelimit-policy'] = present === undefined ? described : `${present}, ${described}`;
}

/** Shows this quota in `RateLimit`, unless the field already shows one with fewer remaining requests. */
export function showStanding(headers: ResponseHeaders, standing: Standing): void {
  const { allowed, policy, remaining, resetMs } = standing;
  const shown = headers.ratelimit;
  if (typeof shown === 'string' && allowed && remainingIn(shown) <= remaining) return;
  headers.ratelimit = `"${policy.name}";r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
}

function remainingIn(field: string): number {
  return Number(/;r=(\d+)/.exec(field)?.[1]);
}

/** Returns the 429 for an exhausted quota. `Retry-After` is the time until a request is allowed, in seconds, rounded up. */
export function overQuotaError({ policy, resetMs }: Standing, layer: string): AppError {
  const seconds = Math.ceil(resetMs / 1000);
  return new AppError(
    'rate_limited',
    `More than ${policy.quota} requests in ${policy.windowMs / 1000} seconds. Wait ${seconds} seconds.`,
    { layer, headers: { 'retry-after': String(Math.max(1, seconds)) } },
  );
}
