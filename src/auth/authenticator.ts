/**
 * Resolves credentials to principals.
 *
 * The signature of an access token proves that this server issued it for a session. The user and the permissions come from
 * the database row of that session, never from the token. An API key is looked up in the database. Both results are cached
 * for `recheckMs` (credential-cache.ts). After an ended session, a changed role or a deleted user in another process, this
 * process applies the change within that time. The process that makes the change calls `forget...` after the commit and
 * applies it immediately; `features/identity/share-forgotten.ts` notifies the other processes.
 */

import { AppError } from '../errors.ts';
import { createCredentialCache, type LoadedCredential } from './credential-cache.ts';
import type { Jwt } from './jwt/jwt.ts';
import type { TokenClaims } from './jwt/jwt-claims.ts';
import { TokenError, type TokenErrorCode } from './jwt/token-error.ts';
import type { ApiKeyPrincipal, Principal, SessionPrincipal } from './principal.ts';

/** The credential of a request. */
export type Credential =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'apiKey'; readonly key: string };

export interface Authenticator {
  /**
   * Returns the principal of the credential, synchronously if it is cached. Throws a CredentialError, or rejects with one or
   * with an AppError of the database.
   */
  identify(credential: Credential): Principal | Promise<Principal>;
  /**
   * Whether the credential was valid a short time ago in this process. Costs one look-up in memory, and proves nothing: use it
   * for priorities only.
   */
  isKnown(credential: Credential): boolean;
  /** Like `identify`, but always asks the database: for decisions that must not use a cached result. */
  identifyNow(credential: Credential): Promise<Principal>;
  /** Removes the tokens of this session from the cache of this process. */
  forgetSession(sessionId: string): void;
  /** Removes this API key from the cache of this process. */
  forgetApiKey(keyId: number): void;
  /** Removes all credentials of a user from the cache: after a change of role or name, or after deletion. */
  forgetUser(userId: number): void;
}

/** Why a credential was rejected, for the log. */
export type CredentialErrorReason = TokenErrorCode | 'session_over' | 'unknown_api_key';

/** The error for an invalid credential: `unauthenticated`, with the reason as a sentence for the client. */
export class CredentialError extends AppError {
  readonly reason: CredentialErrorReason;

  constructor(reason: CredentialErrorReason, detail: string) {
    super('unauthenticated', detail);
    this.name = 'CredentialError';
    this.reason = reason;
  }
}

/** Creates the error for an access token whose session is over. */
export function sessionOver(): CredentialError {
  return new CredentialError('session_over', 'The session of this access token is over: sign in again.');
}

export interface AuthenticatorOptions {
  readonly jwt: Pick<Jwt, 'verify'>;
  /** Loads the current principal of a session; undefined if the session does not exist or is over. */
  loadSession(sessionId: string): Promise<SessionPrincipal | undefined>;
  /** Loads the current principal of an API key; undefined if the key does not exist or is not valid. */
  loadApiKey(key: string): Promise<ApiKeyPrincipal | undefined>;
  /** How long a result of the database is cached, in milliseconds. */
  readonly recheckMs: number;
  /** The maximum number of cached credentials of each kind. Default 10,000. */
  readonly maxEntries?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { jwt, loadSession, loadApiKey, recheckMs, maxEntries = 10_000, now = Date.now } = options;

  const tokens = createCredentialCache<SessionPrincipal>({
    lookUp(token, time) {
      return loadFor(verify(token, time));
    },
    recheckMs,
    maxEntries,
    now,
    isInvalid: isCredentialError,
  });

  const keys = createCredentialCache<ApiKeyPrincipal>({
    async lookUp(key) {
      const principal = await loadApiKey(key);
      if (principal === undefined) {
        throw new CredentialError(
          'unknown_api_key',
          'This API key is not valid: it is mistyped, has expired, or was revoked.',
        );
      }
      return { principal, endsAt: Number.POSITIVE_INFINITY };
    },
    recheckMs,
    maxEntries,
    now,
    isInvalid: isCredentialError,
  });

  async function loadFor(claims: TokenClaims): Promise<LoadedCredential<SessionPrincipal>> {
    const principal = await loadSession(claims.sid);
    if (principal === undefined || String(principal.userId) !== claims.sub) throw sessionOver();
    return { principal, endsAt: claims.exp * 1000 };
  }

  function verify(token: string, time: number): TokenClaims {
    try {
      return jwt.verify(token, Math.floor(time / 1000));
    } catch (error) {
      throw error instanceof TokenError ? new CredentialError(error.code, error.message) : error;
    }
  }

  return {
    identify(credential) {
      return credential.kind === 'bearer' ? tokens.get(credential.token) : keys.get(credential.key);
    },
    isKnown(credential) {
      return credential.kind === 'bearer' ? tokens.has(credential.token) : keys.has(credential.key);
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

function isCredentialError(error: unknown): boolean {
  return error instanceof CredentialError;
}
