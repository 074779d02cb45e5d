import { type Authenticator, sessionOver } from '../../../auth/authenticator.ts';
import type { SessionPrincipal } from '../../../auth/principal.ts';
import type { Sql } from '../../../db/sql.ts';
import { AppError } from '../../../errors.ts';
import { bearerChallenge } from '../../../http/headers/bearer.ts';
import { lockSessionUser } from './store.ts';

/**
 * Checks in a transaction that the caller's session is live, and that a caller who was admitted as an admin still is one.
 * Locks both until the transaction ends. Rejects with `unauthenticated` or `forbidden`. Used for work that takes long after
 * the caller was admitted, and for changes that could give an account away. A transaction that also locks another user
 * must lock the two users in the order of their ids.
 */
export type RequireAuthority = (tx: Sql, caller: SessionPrincipal) => Promise<void>;

export interface RequireAuthorityOptions {
  readonly authenticator: Pick<Authenticator, 'forgetSession' | 'forgetUser'>;
  /** The realm in `WWW-Authenticate`. */
  readonly realm: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export function createRequireAuthority({
  authenticator,
  realm,
  now = Date.now,
}: RequireAuthorityOptions): RequireAuthority {
  return async function requireAuthority(tx, caller) {
    const role = await lockSessionUser(tx, caller, new Date(now()));
    if (role === undefined) {
      authenticator.forgetSession(caller.sessionId);
      const { message } = sessionOver();
      const challenge = bearerChallenge(realm, { description: message });
      throw new AppError('unauthenticated', message, { headers: { 'www-authenticate': challenge } });
    }
    if (caller.role === 'admin' && role !== 'admin') {
      authenticator.forgetUser(caller.userId);
      throw new AppError('forbidden', 'You are no longer an admin. Nothing was changed.');
    }
  };
}
