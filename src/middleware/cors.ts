/**
 * Cross-origin requests from browsers (the Fetch standard, section 3.2). An origin on the list may read the
 * answers, errors and refusals included, which is why this layer stands outside of the limiter and of all layers that
 * refuse. A preflight from such an origin is answered here, with 204; any other one is an ordinary OPTIONS request, which
 * the limiter counts. The decision differs by origin, so every answer says `Vary: Origin`, also to those who sent none.
 *
 * It is not a protection of the server: whoever is no browser ignores it.
 */

import type { Middleware } from '../http/context.ts';

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

/**
 * Makes the function that returns the fields by which a page of an origin may read an answer; undefined if it may not.
 * Answers to messages that the parser refused, which pass no layer, use it too.
 */
export function createOriginFields({
  origins,
  credentials,
}: Pick<CorsOptions, 'origins' | 'credentials'>): (origin: string) => Record<string, string> | undefined {
  const anyOrigin = origins.includes('*');
  const allowed = new Set(origins);
  return (origin) => {
    if (!anyOrigin && !allowed.has(origin)) return undefined;
    return {
      'access-control-allow-origin': anyOrigin ? '*' : origin,
      ...(credentials && { 'access-control-allow-credentials': 'true' }),
      // The browser reads the answer because of the fields above; this one must not forbid it again.
      'cross-origin-resource-policy': 'cross-origin',
    };
  };
}

export function cors(options: CorsOptions): Middleware {
  const anyOrigin = options.origins.includes('*');
  const fieldsFor = createOriginFields(options);
  const methods = options.methods.join(', ');
  const allowedHeaders = options.allowedHeaders.join(', ');
  const exposedHeaders = options.exposedHeaders.join(', ');

  return function cors(ctx, next) {
    const { request } = ctx;
    const { origin } = request.headers;
    if (!anyOrigin) ctx.vary('Origin');
    const isPreflight =
      ctx.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
    const fields = origin === undefined ? undefined : fieldsFor(origin);

    if (origin !== undefined && isPreflight) {
      ctx.vary('Access-Control-Request-Method');
      ctx.vary('Access-Control-Request-Headers');
      if (fields !== undefined && ctx.messageError === undefined) {
        Object.assign(ctx.headers, fields);
        ctx.headers['access-control-allow-methods'] = methods;
        ctx.headers['access-control-allow-headers'] = allowedHeaders;
        ctx.headers['access-control-max-age'] = String(options.maxAgeSeconds);
        ctx.reply(204, undefined);
        return undefined;
      }
    }
    if (fields !== undefined) {
      Object.assign(ctx.headers, fields);
      ctx.headers['access-control-expose-headers'] = exposedHeaders;
    }
    return next(ctx);
  };
}
