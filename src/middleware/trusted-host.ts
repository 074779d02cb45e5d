import { AppError } from '../errors.ts';
import type { Middleware } from '../http/context.ts';
import { createHostSet, hostName } from '../http/headers/host.ts';

export interface TrustedHostOptions {
  /** Host names that this server serves: exact, `*.example.com` for its subdomains, or `*` for any. */
  readonly allowed: readonly string[];
}

/** Caches the few hosts that real clients use; the bound keeps an attacker from filling the cache. */
const maxKnownHosts = 100;

const layer = 'trusted-host';

/**
 * Detects requests for a host that this server does not serve (421). The server has already checked that the Host is valid
 * (http/connection/message-error.ts). Like that check, this one only records the error: the layer message-errors throws it,
 * after the layers that must still process the request. Probes may name any host, because platforms send them to an IP
 * address.
 */
export function trustedHost({ allowed }: TrustedHostOptions): Middleware {
  const any = allowed.includes('*');
  const isServed = createHostSet(allowed);
  const known = new Set<string>();

  return function trustedHost(ctx, next) {
    if (any || known.has(ctx.host) || ctx.messageError !== undefined || ctx.isProbe) return next(ctx);
    if (isServed(hostName(ctx.host))) {
      if (known.size < maxKnownHosts) known.add(ctx.host);
    } else {
      ctx.messageError =
        ctx.host === ''
          ? new AppError('bad_host', 'The request names no host.', { layer })
          : new AppError(
              'misdirected_request',
              'This server does not serve the host that the request names.',
              {
                layer,
              },
            );
    }
    return next(ctx);
  };
}
