import type { Middleware } from '../http/context.ts';
import { noStore } from '../http/headers/cache-control.ts';

export interface SecurityHeadersOptions {
  /** Send Strict-Transport-Security on HTTPS requests. */
  readonly hsts: boolean;
  /** Add `preload`, which is hard to revert (hstspreload.org). */
  readonly hstsPreload: boolean;
  /**
   * An additional Content-Security-Policy. The strictest policy for an API is always sent, and browsers enforce every policy
   * they receive (CSP Level 3, section 4.2), so this one can only add restrictions.
   */
  readonly contentSecurityPolicy: string | undefined;
  /** The Server header; empty to omit it. */
  readonly server: string;
}

/** An API response is not a page: it loads, frames and submits nothing. */
const apiPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/**
 * Sets the headers that restrict what a browser may do with a response. Every response has them, including errors. They are
 * set before the inner layers run, so that a route can replace one: the docs page sets its own policy, and a cacheable
 * route its own Cache-Control.
 */
export function securityHeaders(options: SecurityHeadersOptions): Middleware {
  const fixed: Record<string, string> = {
    'content-security-policy': [apiPolicy, options.contentSecurityPolicy]
      .filter((policy) => policy !== undefined)
      .join(', '),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'strict-origin-when-cross-origin',
    'permissions-policy': 'camera=(), microphone=()',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': noStore,
    ...(options.server !== '' && { server: options.server }),
  };
  const names = Object.keys(fixed);
  const hsts = `max-age=31536000; includeSubDomains${options.hstsPreload ? '; preload' : ''}`;

  return function securityHeaders(ctx, next) {
    for (const name of names) ctx.headers[name] = fixed[name] ?? '';
    if (options.hsts && ctx.scheme === 'https') ctx.headers['strict-transport-security'] = hsts;
    return next(ctx);
  };
}
