/**
 * Cross-site request forgery: a page of another site makes the browser of somebody who has a cookie here send a request,
 * and the browser adds the cookie. Routes that act on a cookie ask here first whether the browser says that the request
 * comes from a page of this origin. No token has to be handed out and kept for it.
 *
 *     Sec-Fetch-Site   Origin                  is
 *     same-origin      -                       taken
 *     none             -                       taken: typed, bookmarked, no page has caused it
 *     other            on the list             taken
 *     other            not on the list         refused; same-site too, where a neighbour is not to be trusted
 *     absent           absent                  taken: not a browser, or one from before 2020 with a request of its own
 *     absent           of this host            taken: a browser without Sec-Fetch-Site, such as Safari before 16.4
 *     absent           on the list             taken
 *     absent           any other, or `null`    refused
 *
 * Pages can set neither header. The scheme of `Origin` is not compared: behind a proxy that ends TLS the server may not
 * know its own. SameSite=Strict on the cookie is the other wall; it does not stand between neighbours of one site.
 * The method is not looked at: a route that asks changes something.
 */

import { AppError } from '../../errors.ts';
import type { Context } from '../context.ts';

/** Throws AppError `cross_origin_refused` for a request that a page of a foreign origin has caused. */
export type AssertTrustedOrigin = (ctx: Pick<Context, 'request' | 'host'>) => void;

/** Makes the check. `allowed` are origins as browsers send them; `*`, which trusts nobody in particular, is left out. */
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

/** The host of an origin, with its port unless it is the scheme's own; undefined for what has none, such as `null`. */
function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host || undefined;
  } catch {
    return undefined;
  }
}
