import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError } from '../errors.ts';
import { clientKey } from '../http/connection/addresses.ts';
import type { Context } from '../http/context.ts';
import { bearerChallenge, bearerToken } from '../http/headers/bearer.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { Logger } from '../observability/logger.ts';
import type { TokenGuesses } from './token-guesses.ts';

export interface RequireTokenOptions {
  /** The required token. If it is empty, no token is required. */
  readonly token: string;
  /** Where a client finds the token: the name of the setting or of the file. */
  readonly where: string;
  readonly guesses: TokenGuesses;
  readonly log: Logger;
}

const layer = 'management';

/**
 * Creates a check that the request has `token` as `Authorization: Bearer` (RFC 6750, section 2.1). The check throws an
 * AppError `unauthenticated` if not, and `rate_limited` for an address that has sent too many wrong tokens. It compares
 * digests in constant time, so the duration does not reveal how much of a guess was right.
 */
export function requireToken({ token, where, guesses, log }: RequireTokenOptions): (ctx: Context) => void {
  if (token === '') return () => {};
  const wanted = digest(token);

  function rejectUntil(waitMs: number): never {
    const seconds = Math.ceil(waitMs / 1000);
    throw new AppError(
      'rate_limited',
      `This address has sent too many wrong tokens. Wait ${seconds} seconds.`,
      {
        layer,
        headers: { 'retry-after': String(seconds) },
      },
    );
  }

  return (ctx) => {
    const { clientAddress } = ctx;
    const received = bearerToken(ctx.request.headers.authorization);
    if (received === undefined) {
      log.info('auth.credentials.refused', {
        client_address: clientAddress,
        path: showPath(ctx.target.path),
      });
      throw new AppError(
        'unauthenticated',
        `Send the value of ${where} as "Authorization: Bearer <token>".`,
        { layer, headers: { 'www-authenticate': bearerChallenge('management') } },
      );
    }
    const client = clientKey(clientAddress);
    const waitMs = guesses.wait(client);
    if (waitMs > 0) rejectUntil(waitMs);
    if (timingSafeEqual(digest(received), wanted)) {
      guesses.right(client);
      return;
    }
    const mustWaitMs = guesses.wrong(client);
    log.warning('auth.credentials.refused', {
      client_address: clientAddress,
      path: showPath(ctx.target.path),
      wait_ms: mustWaitMs,
    });
    const invalid = { description: 'The token is wrong.' };
    throw new AppError('unauthenticated', 'The token is not the management token.', {
      layer,
      headers: { 'www-authenticate': bearerChallenge('management', invalid) },
    });
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
