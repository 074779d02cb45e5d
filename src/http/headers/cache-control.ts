/**
 * `Cache-Control` (RFC 9111, section 5.2) of a route that declares `cache`. All other responses, and all errors, have
 * `no-store`.
 *
 * A shared cache must never store what belongs to one caller. A route that requires credentials cannot declare `public`
 * (`route-policy.ts`), and on an open route, the response to a request with credentials, and one with a cookie, is `private`.
 */

import { StartError } from '../../errors.ts';
import type { Context } from '../context.ts';
import type { RouteCache, RouteDeclaration } from '../route-declaration.ts';

/** The `Cache-Control` of a response that no cache may store. */
export const noStore = 'no-store, max-age=0';

/** The header fields of a route with `cache`, precomputed. */
export interface CacheFields {
  /** For requests without credentials. */
  readonly open: string;
  /** For requests with credentials. */
  readonly own: string;
  readonly vary: readonly string[];
}

export function createCacheFields(cache: RouteCache): CacheFields {
  const { scope, vary = [] } = cache;
  const freshness = freshnessOf(cache);
  return { open: `${scope}, ${freshness}`, own: `private, ${freshness}`, vary };
}

function freshnessOf({ maxAge, immutable }: RouteCache): string {
  if (maxAge === 0) return 'no-cache';
  return immutable ? `max-age=${maxAge}, immutable` : `max-age=${maxAge}`;
}

/** Sets the fields on a response that is not an error. */
export function setCacheFields(ctx: Context, { open, own, vary }: CacheFields): void {
  const isOwn =
    ctx.principal !== undefined ||
    ctx.request.headers.authorization !== undefined ||
    ctx.headers['set-cookie'] !== undefined;
  ctx.headers['cache-control'] = isOwn ? own : open;
  for (const name of vary) ctx.vary(name);
}

const yearSeconds = 31_536_000;

/** Throws a StartError for a declaration that is invalid, or that would store the response of one caller for others. */
export function assertCacheable(route: RouteDeclaration, name: string): void {
  const { cache } = route;
  if (cache === undefined) return;
  if (route.method !== 'GET') {
    throw new StartError(`${name} declares cache, but only responses to GET are cached: remove it.`);
  }
  if (!Number.isInteger(cache.maxAge) || cache.maxAge < 0 || cache.maxAge > yearSeconds) {
    throw new StartError(`The cache of ${name} needs a maxAge of 0 to ${yearSeconds} seconds.`);
  }
  if (cache.vary?.some((field) => !/^[A-Za-z0-9-]+$/.test(field))) {
    throw new StartError(
      `The cache of ${name} varies by ${cache.vary.join(', ')}: use names of header fields.`,
    );
  }
  if (cache.scope === 'public' && (route.auth !== 'none' || route.readsAccessToken === true)) {
    throw new StartError(
      `The cache of ${name} is public, but its response belongs to one caller: change its scope to private.`,
    );
  }
}
