/**
 * Protects against cross-site request forgery: a page of another site makes a browser send a request, and the browser adds the
 * cookie of this site. Routes that act on a cookie first check the headers in which the browser names the origin of the page.
 * So no CSRF token has to be issued and stored.
 *
 *     Sec-Fetch-Site   Origin                  result
 *     same-origin      -                       accepted
 *     none             -                       accepted: typed or bookmarked, not caused by a page
 *     other            on the list             accepted
 *     other            not on the list         rejected, even for same-site: a sibling domain is not trusted
 *     absent           absent                  accepted: not a browser, or a same-origin request of a browser from before 2020
 *     absent           of this host            accepted: a browser without Sec-Fetch-Site, such as Safari before 16.4
 *     absent           on the list             accepted
 *     absent           any other, or `null`    rejected
 *
 * Pages cannot set either header. The scheme of `Origin` is not compared, because behind a proxy that terminates TLS the server
 * may not know its own. SameSite=Strict on the cookie is a second protection, but not against sibling domains. The method is
 * not checked: only routes that change something use this.
 */

import { AppError } from '../../errors.ts';
import type { Context } from '../context.ts';

/** Throws AppError `cross_origin_refused` for a request from a page of an origin that is not trusted. */
export type AssertTrustedOrigin = (ctx: Pick<Context, 'request' | 'host'>) => void;

/** Creates the check. `allowed` are origins as browsers send them; `*` is ignored, because it trusts no origin in particular. */
export function createCrossOriginCheck(allowed: readonly string[]): AssertTrustedOrigin {
  const trusted = new Set(allowed.filter((origin) => origin !== '*'));

  return function assertTrustedOrigin({ request, host }) {
    const site = request.headers['sec-fetch-site'];
    const { origin } = request.headers;
    if (site === 'same-origin' || site === 'none') return;
    if (origin !== undefined && trusted.has(origin)) return;
    if (site === undefined && (origin === undefined || hostOf(origin) === host)) return;
    throw new AppError(
      'cross_origin_refused',
      'This request comes from a page of another origin: add that origin to APP_CORS_ALLOW_ORIGINS if it is yours.',
    );
  };
}

/** Returns the host of an origin, with its port unless it is the default; undefined for an origin without a host, such as `null`. */
function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host || undefined;
  } catch {
    return undefined;
  }
}
