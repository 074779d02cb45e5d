import type { Middleware } from '../http/context.ts';

export interface SecurityHeadersOptions {
  /** Send Strict-Transport-Security to clients that came by HTTPS. */
  readonly hsts: boolean;
  /** Add `preload`, which is hard to undo (hstspreload.org). */
  readonly hstsPreload: boolean;
  /**
   * A Content-Security-Policy beside the strictest one that an API can have, which is always sent. Browsers enforce every
   * policy that they are sent (CSP Level 3, section 4.2), so this one can forbid more and allow nothing.
   */
  readonly contentSecurityPolicy: string | undefined;
  /** The Server header; empty sends none. */
  readonly server: string;
}

/** An answer of an API is no page: it loads nothing, frames nothing, submits nothing. */
const apiPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/**
 * The headers that tell a browser what this answer must never be used for. They stand on every answer, errors
 * included, and are set before the rest of the pipeline runs, so that a route may replace one: the docs page
 * has a policy of its own, a cacheable route its own Cache-Control.
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
    'cache-control': 'no-store, max-age=0',
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
