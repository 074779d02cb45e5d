/**
 * Sessions of signed-in users. A login opens a session and returns two tokens for it:
 *
 *     access token    a JWT, valid for minutes, sent with every request; its session is looked up every few seconds
 *     refresh token   opaque, valid for one refresh, which returns the next pair; see refresh.ts
 *
 * A session expires when it is not refreshed for `idleSeconds`, and after `maxSeconds` in any case; it can also be ended
 * here. Then its refresh token and its access tokens are rejected: immediately by this process, and by others as soon as
 * they ask the database again (SECURITY_SESSION_RECHECK_SECONDS).
 */

import { type Authenticator, CredentialError } from '../../../auth/authenticator.ts';
import type { Jwt } from '../../../auth/jwt/jwt.ts';
import type { PasswordHasher } from '../../../auth/password.ts';
import type { Principal, Scope, SessionPrincipal } from '../../../auth/principal.ts';
import type { RefreshTokens } from '../../../auth/refresh-token.ts';
import type { Database } from '../../../db/database.ts';
import type { Sql } from '../../../db/sql.ts';
import { AppError } from '../../../errors.ts';
import { bearerChallenge } from '../../../http/headers/bearer.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Attempts } from '../attempts/attempts.ts';
import { type Client, createGrants, type Grant } from './grant.ts';
import { type Credentials, createLogin } from './login.ts';
import { openSession } from './open-session.ts';
import { createRefresh } from './refresh.ts';
import { createRequireAuthority, type RequireAuthority } from './require-authority.ts';
import type { Transport } from './schema.ts';
import {
  endSession,
  endSessionByToken,
  endSessionsOf,
  findTransport,
  type ListedSession,
  listSessions,
  type SessionEndReason,
} from './store.ts';

/** For routes of other features that return new tokens. */
export { tokens } from './schema.ts';
export { setTokensCookie, tokensReply } from './tokens-reply.ts';
export type { Client, Grant, ListedSession };

/** Every method can also reject with a database AppError. */
export interface Auth {
  /** Rejects with `unauthenticated`, with `rate_limited` after many attempts, and with `not_ready` under overload. */
  login(credentials: Credentials, client: Client): Promise<Grant>;
  /** Rejects with `unauthenticated`. */
  refresh(refreshToken: string, client: Client): Promise<Grant>;
  /** Ends the session of an access token. Does nothing if the token is invalid or has expired. */
  logout(accessToken: string): Promise<void>;
  /** Ends the session of a refresh token, even if it was used. Does nothing if this server did not issue it. */
  logoutByToken(refreshToken: string): Promise<void>;
  /** Ends all sessions of a user. */
  endAll(userId: number): Promise<void>;
  /** Lists the live sessions of a user, the most recently used first. */
  list(userId: number): Promise<ListedSession[]>;
  /** Ends a session of a user. Rejects with `not_found` if the user has no such live session. */
  endOne(userId: number, sessionId: string): Promise<void>;
  readonly requireAuthority: RequireAuthority;
  /**
   * Ends the sessions of a user, in the caller's transaction. Call the returned function after the commit: it removes the
   * sessions from this process's cache and logs the event.
   */
  endUserSessions(
    tx: Sql,
    userId: number,
    options: { readonly reason: SessionEndReason },
  ): Promise<() => void>;
  /**
   * Ends all sessions of the caller, in the caller's transaction, and opens a new one, so that no earlier token stays valid
   * (ASVS 5.0, 7.2.4). Call `committed` after the commit, as with `endUserSessions`.
   */
  renewSession(
    tx: Sql,
    caller: SessionPrincipal,
    options: { readonly client: Client; readonly reason: SessionEndReason },
  ): Promise<RenewedSession>;
}

export interface RenewedSession {
  readonly grant: Grant;
  /** Where the old session had its refresh token, and the new one has it. */
  readonly transport: Transport;
  committed(): void;
}

export interface AuthOptions {
  readonly database: Database;
  readonly passwords: PasswordHasher;
  readonly jwt: Pick<Jwt, 'sign'>;
  readonly refreshTokens: RefreshTokens;
  readonly authenticator: Pick<Authenticator, 'identify' | 'forgetSession' | 'forgetUser'>;
  readonly attempts: Attempts;
  readonly log: Logger;
  /** The realm in `WWW-Authenticate`. */
  readonly realm: string;
  /** The scopes of all features. A session has all of them. */
  readonly scopes: readonly Scope[];
  readonly accessTokenSeconds: number;
  readonly idleSeconds: number;
  readonly maxSeconds: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export function createAuth(options: AuthOptions): Auth {
  const { database, authenticator, refreshTokens, log, realm, now = Date.now } = options;
  const { sql } = database;
  const parts = {
    ...options,
    now,
    challenge: bearerChallenge(realm),
    makeGrant: createGrants(options),
    forgetSession: (sessionId: string) => authenticator.forgetSession(sessionId),
    idleMs: options.idleSeconds * 1000,
    maxMs: options.maxSeconds * 1000,
  };

  const moment = () => new Date(now());

  function ended(userId: number, sid: string, reason: SessionEndReason): void {
    authenticator.forgetSession(sid);
    log.info('auth.session.ended', { user_id: userId, sid, reason });
  }

  async function identify(accessToken: string): Promise<Principal | undefined> {
    try {
      return await authenticator.identify({ kind: 'bearer', token: accessToken });
    } catch (error) {
      if (error instanceof CredentialError) return undefined;
      throw error;
    }
  }

  async function endUserSessions(
    tx: Sql,
    userId: number,
    { reason }: { readonly reason: SessionEndReason },
  ): Promise<() => void> {
    const sessionIds = await endSessionsOf(tx, userId, { reason, now: moment() });
    return () => {
      for (const sessionId of sessionIds) authenticator.forgetSession(sessionId);
      log.info('auth.sessions.ended', { user_id: userId, count: sessionIds.length, reason });
    };
  }

  return {
    login: createLogin(parts),
    refresh: createRefresh(parts),

    async logout(accessToken) {
      const principal = await identify(accessToken);
      if (principal?.kind !== 'session') return;
      const { sessionId } = principal;
      const userId = await endSession(sql, sessionId, { reason: 'logout', now: moment() });
      if (userId !== undefined) ended(userId, sessionId, 'logout');
    },

    async logoutByToken(refreshToken) {
      const token = refreshTokens.read(refreshToken);
      if (token === undefined) return;
      const userId = await endSessionByToken(sql, token, { reason: 'logout', now: moment() });
      if (userId !== undefined) ended(userId, token.sessionId, 'logout');
    },

    async endAll(userId) {
      const committed = await database.transaction((tx) =>
        endUserSessions(tx, userId, { reason: 'logout_all' }),
      );
      committed();
    },

    list(userId) {
      return listSessions(sql, userId, moment());
    },

    async endOne(userId, sessionId) {
      const ownerId = await endSession(sql, sessionId, { reason: 'revoked', now: moment(), userId });
      if (ownerId === undefined)
        throw new AppError('not_found', 'You have no such session. It may have ended already.');
      ended(userId, sessionId, 'revoked');
    },

    requireAuthority: createRequireAuthority({ authenticator, realm, now }),

    endUserSessions,

    async renewSession(tx, { userId, sessionId }, { client, reason }) {
      const transport = (await findTransport(tx, sessionId)) ?? 'body';
      const committed = await endUserSessions(tx, userId, { reason });
      const at = now();
      const session = await openSession(tx, { userId, transport, client, at }, parts);
      return { grant: parts.makeGrant(session, at), transport, committed };
    },
  };
}
