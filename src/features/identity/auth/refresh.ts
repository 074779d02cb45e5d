/**
 * Refreshes a session: exchanges a refresh token for the next one and a new access token. The states of a session:
 *
 *     login --> live --logout, revoked, password changed, ...--> ended (reason)
 *                |  \--a used token is sent again--------------> ended (refresh_reused)
 *                 \---idle or maximum time has passed----------> expired
 *
 * In a live session, each token passes through these states, in this order and never back:
 *
 *     current, young --10 s--> current --used--> previous, in the window --10 s--> used up
 *
 *     presented token                    response
 *     current                            a successor; this token becomes the previous one
 *     current, younger than 10 s         the same token again
 *     previous, used less than 10 s ago  the same successor as before, which is stored encrypted with this token
 *     used up                            401, and the session is ended, because the token was copied
 *     forged, or of an ended session     401, and nothing changes
 *
 * The window is for honest clients that send a token twice: two tabs, or a retry after a lost response. Within it, any
 * number of refreshes with the same token return the same successor. A young token is not replaced, so the chain makes at
 * most one step per window and only one previous token has to be stored. This does not help a thief: thief and client
 * share one chain, and the first of them to send a used token after the window ends the session for both.
 *
 * Invariants:
 * - The step is one UPDATE that compares the hash of the presented token. Of parallel refreshes, one makes the step; the
 *   others find that the presented token is now the previous one.
 * - The row contains no tokens, only hashes, and a successor that only its predecessor can decrypt.
 * - `rotated_at` only increases, by at least 10 s per step.
 *
 * Failures:
 * - Before the step: nothing has happened, and the client sends the token again.
 * - After the step, before the response arrives: the client sends the token again within the window and gets the same
 *   successor. After the window, the session is ended and the user has to sign in again. This is the price of detecting copies.
 * - A request that pauses for more than 10 s between its two statements while the chain advances is treated as a copy.
 * - The clock is that of this process. Clocks that differ by some seconds make the window shorter or longer.
 */

import {
  openSuccessor,
  type RefreshToken,
  type RefreshTokens,
  sealSuccessor,
} from '../../../auth/refresh-token.ts';
import type { Database } from '../../../db/database.ts';
import { AppError } from '../../../errors.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Client, Grant, MakeGrant } from './grant.ts';
import { endSession, findSession, rotateSession } from './store.ts';

export interface RefreshParts {
  readonly database: Database;
  readonly refreshTokens: RefreshTokens;
  readonly makeGrant: MakeGrant;
  readonly forgetSession: (sessionId: string) => void;
  readonly log: Logger;
  readonly challenge: string;
  readonly idleMs: number;
  readonly now: () => number;
}

/** How long a used token returns its successor, and how long a new one is not replaced. */
const windowMs = 10_000;

export function createRefresh(parts: RefreshParts) {
  const { refreshTokens, makeGrant, log, now } = parts;
  const { sql } = parts.database;

  return async function refresh(text: string, client: Client): Promise<Grant> {
    const at = now();
    const presented = refreshTokens.read(text);
    if (presented === undefined) throw unauthenticated('malformed', client);
    const { sessionId } = presented;

    const successor = refreshTokens.issue(sessionId);
    const rotated = await rotateSession(sql, {
      id: sessionId,
      presentedHash: presented.hash,
      successorHash: successor.hash,
      sealedSuccessor: sealSuccessor(successor, presented),
      now: new Date(at),
      currentSince: new Date(at - windowMs),
      currentUntil: new Date(at + windowMs),
      expiresAt: new Date(at + parts.idleMs),
    });
    if (rotated !== undefined) return grant(rotated, successor.text);

    const session = await findSession(sql, sessionId);
    if (session === undefined) throw unauthenticated('unknown', client, sessionId);
    if (session.ended_at !== null || session.expires_at.getTime() <= at)
      throw unauthenticated('ended', client, sessionId);
    if (session.current_hash.equals(presented.hash)) return grant(session, text);

    const isPrevious = session.previous_hash?.equals(presented.hash) === true;
    // A clock that was ahead must not make the window longer.
    const isRecent = Math.abs(session.rotated_at.getTime() - at) < windowMs;
    if (isPrevious && session.sealed_successor !== null && isRecent) {
      log.info('auth.refresh.replayed', {
        user_id: session.user_id,
        sid: sessionId,
        client_address: client.address,
      });
      return grant(session, openSuccessor(session.sealed_successor, presented));
    }
    if (!isPrevious && !presented.genuine) throw unauthenticated('forged', client, sessionId);
    await endReused(presented, client, at);
    throw unauthenticated('reused', client, sessionId);

    function grant(term: { readonly user_id: number; readonly expires_at: Date }, refreshToken: string) {
      return makeGrant({ sessionId, userId: term.user_id, refreshToken, expiresAt: term.expires_at }, at);
    }
  };

  /** The same sentence in every case, so that it reveals nothing to a caller who tries tokens. */
  function unauthenticated(reason: string, client: Client, sid?: string): AppError {
    log.info('auth.refresh.failed', { reason, sid, client_address: client.address });
    return new AppError('unauthenticated', 'The refresh token is invalid or has expired: sign in again.', {
      headers: { 'www-authenticate': parts.challenge },
      // The session of a token that this server has issued is deleted some time after its end.
      isGuess: reason === 'malformed' || reason === 'forged',
    });
  }

  async function endReused({ sessionId }: RefreshToken, client: Client, at: number): Promise<void> {
    const userId = await endSession(sql, sessionId, { reason: 'refresh_reused', now: new Date(at) });
    if (userId === undefined) return;
    parts.forgetSession(sessionId);
    log.warning('auth.refresh.reused', { user_id: userId, sid: sessionId, client_address: client.address });
  }
}
