/**
 * From credentials to principals.
 *
 * An access token proves by its signature that this server made it, and for which session; who the user is, and what the
 * user may do now, is what the database says of that session, never what the token says. An API key is looked up as it
 * is. Either answer is believed for `recheckMs` (credential-cache.ts): that is the time within which a session that was
 * ended, a role that was changed or a user who was deleted elsewhere takes effect here. The process in which it happens
 * calls `forget...` when the change is committed, and knows it at once.
 */

import { AppError } from '../errors.ts';
import { createCredentialCache } from './credential-cache.ts';
import type { Jwt } from './jwt.ts';
import type { TokenClaims } from './jwt-claims.ts';
import type { ApiKeyPrincipal, Principal, SessionPrincipal } from './principal.ts';
import { TokenError, type TokenErrorCode } from './token-error.ts';

/** What a request shows to say who it is from. */
export type Credential =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'apiKey'; readonly key: string };

export interface Authenticator {
  /**
   * Who stands behind the credential; without a promise if it was checked a moment ago. Rejects with a
   * RefusedCredential, or with the AppErrors of the database.
   */
  identify(credential: Credential): Principal | Promise<Principal>;
  /** The same, asking the database in any case: for what must not rest on an answer that is some seconds old. */
  identifyNow(credential: Credential): Promise<Principal>;
  /** The next use of this session's tokens in this process asks the database. */
  forgetSession(sessionId: string): void;
  /** The next use of this API key in this process asks the database. */
  forgetApiKey(keyId: number): void;
  /** The same for all credentials of a user: the role or the name has changed, or the user is gone. */
  forgetUser(userId: number): void;
}

/** Why a credential is refused, for the log. */
export type RefusalReason = TokenErrorCode | 'session_over' | 'unknown_api_key';

/** A credential that stands for nobody: `unauthenticated`, with a sentence for the client that says why. */
export class RefusedCredential extends AppError {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, detail: string) {
    super('unauthenticated', detail);
    this.name = 'RefusedCredential';
    this.reason = reason;
  }
}

/** The refusal of an access token whose session is over. */
export function sessionOver(): RefusedCredential {
  return new RefusedCredential('session_over', 'The session of this access token is over: sign in again.');
}

export interface AuthenticatorOptions {
  readonly jwt: Pick<Jwt, 'verify'>;
  /** Whom a session is of, as the database has it now; undefined if there is no such session, or it is over. */
  loadSession(sessionId: string): Promise<SessionPrincipal | undefined>;
  /** Whom an API key stands for now; undefined if it is none, or is not in force. */
  loadApiKey(key: string): Promise<ApiKeyPrincipal | undefined>;
  /** How long an answer of the database is believed, in milliseconds. */
  readonly recheckMs: number;
  /** How many credentials of either kind are remembered. */
  readonly maxEntries?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { jwt, loadSession, loadApiKey, recheckMs, maxEntries = 10_000, now = Date.now } = options;

  const tokens = createCredentialCache<SessionPrincipal>({
    async lookUp(token, time) {
      const claims = verify(token, time);
      const principal = await loadSession(claims.sid);
      if (principal === undefined || String(principal.userId) !== claims.sub) {
        throw sessionOver();
      }
      return { principal, endsAt: claims.exp * 1000 };
    },
    recheckMs,
    maxEntries,
    now,
    isRefusal,
  });

  const keys = createCredentialCache<ApiKeyPrincipal>({
    async lookUp(key) {
      const principal = await loadApiKey(key);
      if (principal === undefined) {
        throw new RefusedCredential(
          'unknown_api_key',
          'This API key is not in force: it is mistyped, has ended, or was revoked.',
        );
      }
      return { principal, endsAt: Number.POSITIVE_INFINITY };
    },
    recheckMs,
    maxEntries,
    now,
    isRefusal,
  });

  function verify(token: string, time: number): TokenClaims {
    try {
      return jwt.verify(token, Math.floor(time / 1000));
    } catch (error) {
      throw error instanceof TokenError ? new RefusedCredential(error.code, error.message) : error;
    }
  }

  return {
    identify(credential) {
      return credential.kind === 'bearer' ? tokens.get(credential.token) : keys.get(credential.key);
    },
    identifyNow(credential) {
      return credential.kind === 'bearer' ? tokens.getNow(credential.token) : keys.getNow(credential.key);
    },
    forgetSession(sessionId) {
      tokens.forget((principal) => principal.sessionId === sessionId);
    },
    forgetApiKey(keyId) {
      keys.forget((principal) => principal.keyId === keyId);
    },
    forgetUser(userId) {
      tokens.forget((principal) => principal.userId === userId);
      keys.forget((principal) => principal.userId === userId);
    },
  };
}

function isRefusal(error: unknown): boolean {
  return error instanceof RefusedCredential;
}
