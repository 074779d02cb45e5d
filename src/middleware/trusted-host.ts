import { AppError } from '../errors.ts';
import type { Middleware } from '../http/context.ts';
import { createHostSet, hostName } from '../http/headers/host.ts';

export interface TrustedHostOptions {
  /** Host names that are served here: exact, `*.example.com` for the names below it, or `*` for any. */
  readonly allowed: readonly string[];
}

/** The few hosts that real clients name are remembered; the many that an attacker names are not. */
const maxKnownHosts = 100;

const layer = 'trusted-host';

/**
 * Finds requests for a host that is not served here (421). Whether the Host is valid at all, the server has looked at
 * (http/connection/message-error.ts). Like what the server found, this is a fault of the message: it is thrown by the layer
 * message-errors, after the layers that must still see it. Probes may name any host: platforms address them by IP address.
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
