/**
 * Who has signed in. A login makes a session and gives two tokens for it:
 *
 *     access token    a JWT, good for minutes, shown with every request; checked against the session now and then
 *     refresh token   opaque, good for one refresh, which gives the next pair; see refresh.ts
 *
 * A session ends when it is not refreshed for `idleSeconds`, after `maxSeconds` whatever happens, and when somebody ends
 * it here. From then on its refresh token is refused, its access tokens too: at once by this process, and by others as
 * soon as they ask the database again (SECURITY_SESSION_RECHECK_SECONDS).
 */

import { type Authenticator, RefusedCredential } from '../../../auth/authenticator.ts';
import type { Jwt } from '../../../auth/jwt.ts';
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

/** What a route of another feature answers that gives new tokens. */
export { tokens } from './schema.ts';
export { setTokensCookie, tokensReply } from './tokens-reply.ts';
export type { Client, Grant, ListedSession };

/** Each rejects with the AppErrors of the database, and with those that it names. */
export interface Auth {
  /** Rejects with `unauthenticated`, with `rate_limited` after many attempts, `not_ready` if too many want to sign in. */
  login(credentials: Credentials, client: Client): Promise<Grant>;
  /** Rejects with `unauthenticated`. */
  refresh(refreshToken: string, client: Client): Promise<Grant>;
  /** Ends the session that an access token is of. Does nothing for a token that is not good, or not any more. */
  logout(accessToken: string): Promise<void>;
  /** Ends the session that a refresh token is of, also a used one. Does nothing for one that is not of this server. */
  logoutByToken(refreshToken: string): Promise<void>;
  /** Ends all sessions of a user. */
  endAll(userId: number): Promise<void>;
  /** The live sessions of a user, the one that was used last first. */
  list(userId: number): Promise<ListedSession[]>;
  /** Ends a session of a user. Rejects with `not_found` if the user has no such live session. */
  endOne(userId: number, sessionId: string): Promise<void>;
  readonly requireAuthority: RequireAuthority;
  /**
   * Ends the sessions of a user, in the caller's transaction. Call what it resolves to when that is committed: it makes
   * this process ask again for the sessions that ended, and tells the log.
   */
  endUserSessions(
    tx: Sql,
    userId: number,
    options: { readonly reason: SessionEndReason },
  ): Promise<() => void>;
  /**
   * Ends all sessions of the caller, in the caller's transaction, and opens a new one in place of the one that calls: no
   * token from before is valid afterwards (ASVS 5.0, 7.2.4). `committed` is to be called as with `endUserSessions`.
   */
  renewSession(
    tx: Sql,
    caller: SessionPrincipal,
    options: { readonly client: Client; readonly reason: SessionEndReason },
  ): Promise<RenewedSession>;
}

export interface RenewedSession {
  readonly grant: Grant;
  /** How the session carried its refresh token, and the new one does. */
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
  /** What the tokens are for, in `WWW-Authenticate`. */
  readonly realm: string;
  /** The scopes of all features; a session has all of them. */
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
      if (error instanceof RefusedCredential) return undefined;
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
        throw new AppError('not_found', 'You have no such session: it may have ended.');
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
