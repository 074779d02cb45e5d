/**
 * Who somebody is, put together: tokens signed as the settings say, and the authenticator, which asks the database for
 * sessions and API keys. There is one for the whole process, since what it remembers is only right if everybody who ends a
 * session tells the same one.
 */

import { type Authenticator, createAuthenticator } from '../auth/authenticator.ts';
import { createJwt, type Jwt } from '../auth/jwt.ts';
import { createRefreshTokens, type RefreshTokens } from '../auth/refresh-token.ts';
import type { Database } from '../db/database.ts';
import { createLoadApiKey } from '../features/identity/api-keys/load-api-key.ts';
import { createLoadSession } from '../features/identity/auth/load-session.ts';
import type { Logger } from '../observability/logger.ts';
import { runOutsideRequest } from '../observability/request-context.ts';
import type { Settings } from '../settings/load.ts';

export interface Identity {
  readonly jwt: Jwt;
  readonly authenticator: Authenticator;
  readonly refreshTokens: RefreshTokens;
}

export interface IdentityOptions {
  readonly settings: Settings;
  readonly database: Database;
  readonly log: Logger;
  /** The secrets of the tokens: the first signs, all verify. */
  readonly secrets: readonly string[];
}

/** How far the clocks of the machines that issue and check tokens may be apart. */
const leewaySeconds = 5;

export function createIdentity({ settings, database, log, secrets }: IdentityOptions): Identity {
  const { jwtAlgorithm, jwtIssuer, jwtAudience, sessionRecheckSeconds } = settings.security;
  const jwt = createJwt({
    algorithm: jwtAlgorithm,
    secrets,
    issuer: jwtIssuer,
    audience: jwtAudience,
    leewaySeconds,
  });
  const loadApiKey = createLoadApiKey({ database, log: log.named('auth') });
  const loadSession = createLoadSession({ database });
  const authenticator = createAuthenticator({
    jwt,
    // A look-up is for all who ask meanwhile: it must not end with the request that happened to be the first.
    loadSession: (sessionId) => runOutsideRequest(() => loadSession(sessionId)),
    loadApiKey: (key) => runOutsideRequest(() => loadApiKey(key)),
    recheckMs: sessionRecheckSeconds * 1000,
  });
  return { jwt, authenticator, refreshTokens: createRefreshTokens(secrets) };
}
