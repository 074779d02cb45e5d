/**
 * Reports the offences of clients to the ban list. The error boundary calls it with each error of a request, so requests that
 * succeed cost nothing.
 *
 *     error of the request                                    offence of the address
 *     over a limit (`rate_limited`), caller unknown           one violation
 *     credentials that were never valid (`isGuess`)           one failure; the same credentials count once
 *     any error of a signed-in caller                         none: the others behind the address are not to blame
 *     an expired token, an ended session, no credentials      none: programs of honest users send these too
 */

import { createHash } from 'node:crypto';
import type { ProcessBans } from '../../bans/process-bans.ts';
import { AppError } from '../../errors.ts';
import type { Context } from '../../http/context.ts';

export interface OffenceReporterOptions {
  readonly bans: ProcessBans;
  /** The name of the header that carries an API key. */
  readonly apiKeyHeader: string;
}

/** Returns the function that reports the error of a request, if it is an offence. */
export function createOffenceReporter({ bans, apiKeyHeader }: OffenceReporterOptions) {
  const keyField = apiKeyHeader.toLowerCase();

  /**
   * Returns 48 bits of the digest of a request's credentials: those of its header. A route with a credential of its own, such as
   * the login, does not read that header: its credential is in the body, or in a cookie.
   */
  function credentialOf({ request: { headers }, rawBody, match }: Context): number {
    const isOwn = match.kind === 'found' && match.value.route.auth === 'own';
    const inHeader = isOwn ? undefined : (headers.authorization ?? headers[keyField]);
    const sent = inHeader ?? (rawBody === undefined || rawBody.length === 0 ? headers.cookie : rawBody) ?? '';
    const digest = createHash('sha256').update(
      typeof sent === 'object' && !Buffer.isBuffer(sent) ? sent.join() : sent,
    );
    return digest.digest().readUIntBE(0, 6);
  }

  return function reportOffence(ctx: Context, error: unknown): void {
    if (!(error instanceof AppError) || ctx.principal !== undefined) return;
    if (error.code === 'rate_limited') bans.reportViolation(ctx.clientAddress);
    else if (error.isGuess) bans.reportFailure(ctx.clientAddress, credentialOf(ctx));
  };
}
