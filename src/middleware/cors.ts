/**
 * Cross-origin requests from browsers (the Fetch standard, section 3.2). An origin on the list may read the
 * answers, errors and refusals included, which is why this layer stands outside of the limiter and of all layers that
 * refuse. A preflight from such an origin is answered here, with 204; any other one is an ordinary OPTIONS request, which
 * the limiter counts. The decision differs by origin, so every answer says `Vary: Origin`, also to those who sent none.
 *
 * It is not a protection of the server: whoever is no browser ignores it.
 */

import type { Context, Middleware } from '../http/context.ts';

export interface CorsOptions {
  /** Origins as browsers send them, `https://app.example.com`, or `*` for any. */
  readonly origins: readonly string[];
  /** Let browsers send cookies and read the answers to such requests. Not together with `*`. */
  readonly credentials: boolean;
  readonly methods: readonly string[];
  /** Request headers that a preflight may ask for. */
  readonly allowedHeaders: readonly string[];
  /** Response headers that scripts may read. */
  readonly exposedHeaders: readonly string[];
  /** How long a browser may remember a preflight, in seconds. */
  readonly maxAgeSeconds: number;
}

export function cors(options: CorsOptions): Middleware {
  const anyOrigin = options.origins.includes('*');
  const origins = new Set(options.origins);
  const methods = options.methods.join(', ');
  const allowedHeaders = options.allowedHeaders.join(', ');
  const exposedHeaders = options.exposedHeaders.join(', ');

  function allow(ctx: Context, origin: string): void {
    ctx.headers['access-control-allow-origin'] = anyOrigin ? '*' : origin;
    if (options.credentials) ctx.headers['access-control-allow-credentials'] = 'true';
    // The browser reads the answer because of the header above; this one must not forbid it again.
    ctx.headers['cross-origin-resource-policy'] = 'cross-origin';
  }

  return function cors(ctx, next) {
    const { request } = ctx;
    const { origin } = request.headers;
    if (!anyOrigin) ctx.vary('Origin');
    const isPreflight =
      ctx.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
    const isAllowed = origin !== undefined && (anyOrigin || origins.has(origin));

    if (origin !== undefined && isPreflight) {
      ctx.vary('Access-Control-Request-Method');
      ctx.vary('Access-Control-Request-Headers');
      if (isAllowed && ctx.fault === undefined) {
        allow(ctx, origin);
        ctx.headers['access-control-allow-methods'] = methods;
        ctx.headers['access-control-allow-headers'] = allowedHeaders;
        ctx.headers['access-control-max-age'] = String(options.maxAgeSeconds);
        ctx.reply(204, undefined);
        return undefined;
      }
    }
    if (isAllowed) {
      allow(ctx, origin);
      ctx.headers['access-control-expose-headers'] = exposedHeaders;
    }
    return next(ctx);
  };
}
