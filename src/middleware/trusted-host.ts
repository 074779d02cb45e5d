import { AppError } from '../errors.ts';
import type { Middleware } from '../http/context.ts';
import { countFields } from '../http/raw-fields.ts';

export interface TrustedHostOptions {
  /** Host names that are served here: exact, `*.example.com` for the names below it, or `*` for any. */
  readonly allowed: readonly string[];
}

/** uri-host [ ":" port ] of RFC 9110, section 7.2: a name, an IPv4 address, or an IPv6 address in brackets. */
const wellFormed = /^(?:[a-z0-9._~-]{1,255}|\[[0-9a-f:.]{2,45}\])(?::\d{0,5})?$/;

/**
 * Refuses what is addressed to nobody here, before anything depends on it. A request with no Host, two of
 * them, or a malformed one is 400 (RFC 9112, section 3.2); a host that is not served is 421. What the server found
 * wrong with the message as a whole (http/server.ts, http/target.ts) is thrown here: bad percent-encoding, null bytes,
 * control characters and encoded slashes in the target, too many header fields, an unknown method. Probes may name any
 * host: platforms address them by IP address.
 */
export function trustedHost({ allowed }: TrustedHostOptions): Middleware {
  const layer = 'trusted-host';
  const any = allowed.includes('*');
  const exact = new Set(allowed.map((host) => host.toLowerCase()));
  const suffixes = allowed.filter((host) => host.startsWith('*.')).map((host) => host.slice(1).toLowerCase());
  // The few hosts that real clients name are remembered; the many that an attacker names are not.
  const known = new Set<string>();

  function isServed(name: string): boolean {
    return (
      any ||
      exact.has(name) ||
      suffixes.some((suffix) => name.endsWith(suffix) && name.length > suffix.length)
    );
  }

  return function trustedHost(ctx, next) {
    const { request } = ctx;
    if (ctx.fault !== undefined) throw ctx.fault;
    const hosts = countFields(request.rawHeaders, 'host');
    if (hosts > 1) throw new AppError('bad_host', 'The request has more than one Host header.', { layer });
    if (hosts === 0 && request.httpVersion !== '1.0') {
      throw new AppError('bad_host', 'The request has no Host header.', { layer });
    }
    if (known.has(ctx.host)) return next(ctx);
    if (ctx.host === '' && any) return next(ctx);
    if (!wellFormed.test(ctx.host)) {
      throw new AppError('bad_host', 'The Host header is not a host with an optional port.', { layer });
    }
    // Settings name an IPv6 address without the brackets that it has in a URL.
    const name = ctx.host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
    if (!isServed(name)) {
      if (ctx.isProbe) return next(ctx);
      throw new AppError(
        'misdirected_request',
        'This server does not serve the host that the request names.',
        { layer },
      );
    }
    if (known.size < 100) known.add(ctx.host);
    return next(ctx);
  };
}
