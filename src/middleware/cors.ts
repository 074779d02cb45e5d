/**
 * Cross-origin requests from browsers (the Fetch standard, section 3.2). Pages of a listed origin may read all responses,
 * including errors; therefore this layer is outside the limiter and outside every layer that rejects requests. The layer
 * answers a preflight from a listed origin with 204. Any other preflight continues as an ordinary OPTIONS request, which the
 * limiter counts. The decision depends on the origin, so every response has `Vary: Origin`, even without an Origin header.
 *
 * CORS does not protect the server: clients other than browsers ignore it.
 */

import type { Middleware } from '../http/context.ts';

export interface CorsOptions {
  /** Origins as browsers send them, `https://app.example.com`, or `*` for any. */
  readonly origins: readonly string[];
  /** Allow browsers to send cookies and to read the responses to such requests. Cannot be combined with `*`. */
  readonly credentials: boolean;
  readonly methods: readonly string[];
  /** Request headers that a preflight may ask for. */
  readonly allowedHeaders: readonly string[];
  /** Response headers that scripts may read. */
  readonly exposedHeaders: readonly string[];
  /** How long a browser may cache a preflight, in seconds. */
  readonly maxAgeSeconds: number;
}

/**
 * Returns a function from an origin to the header fields that allow its pages to read a response; undefined if they may not.
 * Responses to messages that the parser rejected, which pass no layer, use it too.
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
      // The fields above allow the page to read the response; the default of this field would forbid it again.
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
