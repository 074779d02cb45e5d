/**
 * The refresh of a session: a refresh token for the next one, and a new access token with it. A session is
 *
 *     login --> live --logout, revoked, password changed, ...--> ended (reason)
 *                |  \--a used token comes back-----------------> ended (refresh_reused)
 *                 \---not refreshed for idle, or max is over---> expired
 *
 * and while it is live, each token of it is, in this order and never back,
 *
 *     current, young --10 s--> current --used--> previous, in the window --10 s--> used up
 *
 *     presented                          answer
 *     current                            a successor; this one becomes the previous
 *     current, younger than 10 s         the same token again
 *     previous, used less than 10 s ago  the successor it was given, which is stored sealed for it
 *     used up                            401, and the session ends: a token that comes back was copied
 *     made up, or of an ended session    401, and nothing changes
 *
 * The window is for honest clients that send a token twice: two tabs, a retry after the answer was lost. Within it, any
 * number of refreshes with the same token give the same successor. A young token stays, so that the chain makes no two
 * steps in one window and the one before is enough to remember. Whoever copied a token has it no easier: he is in the
 * same chain as the client, and the first of the two to come late with a used token ends it for both.
 *
 * What holds:
 * - The step is one UPDATE, which compares the hash of the presented token. Of parallel ones one is made; the others find
 *   the presented token to be the previous one.
 * - The row knows no token, only hashes, and a successor that its predecessor alone opens.
 * - `rotated_at` only grows, and grows by at least 10 s with a step.
 *
 * What can fail:
 * - Before the step: nothing has happened, and the client sends the token again.
 * - After it, before the answer is read: the client sends the token again within the window and gets the same successor.
 *   If it takes longer, the session is lost and the user signs in again. This is the price of noticing copies.
 * - A request that stands still for over 10 s between its two statements while the chain goes on is taken for a copy.
 * - The clock is this process's. Where processes disagree by some seconds, the window is that much shorter or longer.
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

/** How long a used token is answered with its successor, and how long a new one is not replaced. */
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

  /** One sentence for all of them: whoever tries tokens out learns nothing. */
  function unauthenticated(reason: string, client: Client, sid?: string): AppError {
    log.info('auth.refresh.failed', { reason, sid, client_address: client.address });
    return new AppError(
      'unauthenticated',
      'The refresh token is not valid, or not any more: sign in again.',
      {
        headers: { 'www-authenticate': parts.challenge },
      },
    );
  }

  async function endReused({ sessionId }: RefreshToken, client: Client, at: number): Promise<void> {
    const userId = await endSession(sql, sessionId, { reason: 'refresh_reused', now: new Date(at) });
    if (userId === undefined) return;
    parts.forgetSession(sessionId);
    log.warning('auth.refresh.reused', { user_id: userId, sid: sessionId, client_address: client.address });
  }
}
