import type { ExemptClients } from '../../bans/exempt-clients.ts';
import type { ProcessBans } from '../../bans/process-bans.ts';
import { AppError } from '../../errors.ts';
import { clientKey } from '../../http/connection/addresses.ts';
import type { Middleware } from '../../http/context.ts';
import { rejectRequest } from '../../http/problem.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import type { RejectedClients } from '../../observability/rejected-clients.ts';

export interface BanListOptions {
  readonly bans: ProcessBans;
  readonly exempt: ExemptClients;
  readonly rejected: RejectedClients;
  /** Counts rejections. */
  readonly metrics: Metrics;
}

/**
 * Rejects the requests of banned clients with 429 `client_banned` and `Retry-After`, before everything that costs work. The
 * status is 429 (RFC 6585, section 4) and not 403, because the rejection ends at a known time: clients wait until then, and do
 * not discard their credentials. Probes pass, because platforms send them from anywhere.
 *
 * A rejection costs no more than one look-up and one shared error, without a stack of its own. While no client is banned, the
 * layer does nothing.
 */
export function banList({ bans, exempt, rejected, metrics }: BanListOptions): Middleware {
  const rejections = metrics
    .counter({ name: 'ban_rejections_total', help: 'Requests of banned clients that were rejected.' })
    .of();
  const rejection = new AppError(
    'client_banned',
    'Requests from your address are refused for a while, because too many were over the limit or failed to authenticate. Wait for as long as Retry-After specifies.',
    { layer: 'ban-list' },
  );

  return function banList(ctx, next) {
    if (bans.size === 0) return next(ctx);
    const client = clientKey(ctx.clientAddress);
    const remainingMs = bans.remainingMs(client);
    if (remainingMs === 0 || (ctx.isProbe && ctx.messageError === undefined)) return next(ctx);
    // The allow list can contain a part of an IPv6 network that is banned as a whole.
    if (exempt.hasPartOf(client) && exempt.hasAddress(ctx.clientAddress)) return next(ctx);
    rejections.add();
    rejected.report(ctx, {
      code: 'client_banned',
    });
    ctx.headers['retry-after'] = String(Math.ceil(remainingMs / 1000));
    return rejectRequest(ctx, rejection);
  };
}
