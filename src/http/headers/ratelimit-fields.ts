/**
 * What an answer says about quotas (draft-ietf-httpapi-ratelimit-headers): `RateLimit-Policy` lists all that apply
 * to the request, `RateLimit` shows the one that is nearest to its end. More than one layer can limit a request: each
 * adds its own, and reads in the answer so far whether another is nearer to its end.
 */

import { AppError } from '../../errors.ts';
import type { ResponseHeaders } from '../context.ts';

/** At most `quota` requests in any `windowMs` milliseconds. */
export interface Quota {
  /** Of letters a to z, digits and hyphens. */
  readonly name: string;
  readonly quota: number;
  readonly windowMs: number;
}

/** Where a client stands in a quota. */
export interface Standing {
  readonly allowed: boolean;
  readonly policy: Quota;
  readonly remaining: number;
  /** Milliseconds until there is one more. */
  readonly resetMs: number;
}

/** The quotas as items of `RateLimit-Policy`: `"minute";q=70;w=60, "hour";q=1000;w=3600`. */
export function describeQuotas(quotas: readonly Quota[]): string {
  return quotas.map(({ name, quota, windowMs }) => `"${name}";q=${quota};w=${windowMs / 1000}`).join(', ');
}

/** Adds what `describeQuotas` made to those of the layers outside. */
export function addQuotas(headers: ResponseHeaders, described: string): void {
  const present = headers['ratelimit-policy'];
  headers['ratelimit-policy'] = present === undefined ? described : `${present}, ${described}`;
}

/** Shows this standing, unless the answer shows one already that is nearer to its end. */
export function showStanding(headers: ResponseHeaders, standing: Standing): void {
  const { allowed, policy, remaining, resetMs } = standing;
  const shown = headers.ratelimit;
  if (typeof shown === 'string' && allowed && remainingIn(shown) <= remaining) return;
  headers.ratelimit = `"${policy.name}";r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
}

function remainingIn(field: string): number {
  return Number(/;r=(\d+)/.exec(field)?.[1]);
}

/** The refusal that follows from a standing: `Retry-After` is whole seconds, rounded up, after which a request is let in. */
export function overQuotaError({ policy, resetMs }: Standing, layer: string): AppError {
  const seconds = Math.ceil(resetMs / 1000);
  return new AppError(
    'rate_limited',
    `More than ${policy.quota} requests in ${policy.windowMs / 1000} seconds. Wait ${seconds} seconds.`,
    { layer, headers: { 'retry-after': String(Math.max(1, seconds)) } },
  );
}
