/**
 * Decides who a request comes from: tokens signed as the settings demand, and the authenticator, which asks the database
 * for sessions and API keys. One identity serves the whole process, since its cache of checked credentials is only right
 * if every part that ends a session or a key updates the same cache.
 */

import { type Authenticator, createAuthenticator } from '../../auth/authenticator.ts';
import { createJwt, type Jwt, type JwtOptions } from '../../auth/jwt/jwt.ts';
import type { Scope } from '../../auth/principal.ts';
import { createRefreshTokens, type RefreshTokens } from '../../auth/refresh-token.ts';
import type { InvalidationBus } from '../../cache/invalidation-bus.ts';
import type { Database } from '../../db/database.ts';
import type { Logger } from '../../observability/logger.ts';
import { runOutsideRequest } from '../../observability/request-context.ts';
import { createLoadApiKey } from './api-keys/load-api-key.ts';
import { createLoadSession } from './auth/load-session.ts';
import { createRequireAuthority, type RequireAuthority } from './auth/require-authority.ts';
import { shareForgotten } from './share-forgotten.ts';

export interface Identity {
  readonly jwt: Jwt;
  readonly authenticator: Authenticator;
  readonly refreshTokens: RefreshTokens;
  readonly requireAuthority: RequireAuthority;
}

export interface IdentityOptions {
  readonly database: Database;
  /** Reaches the caches of checked credentials of the other processes; by default there are none. */
  readonly bus?: InvalidationBus;
  readonly log: Logger;
  /** The secrets of the tokens: the first signs, all verify. */
  readonly secrets: readonly string[];
  /** The scopes that an API key can have. */
  readonly scopes: readonly Scope[];
  /** The realm in `WWW-Authenticate`. */
  readonly realm: string;
  /** The settings of the tokens. */
  readonly security: {
    readonly jwtAlgorithm: JwtOptions['algorithm'];
    readonly jwtIssuer: string;
    readonly jwtAudience: string;
    readonly sessionRecheckSeconds: number;
  };
}

/** The tolerated difference between the clocks of the machines that issue and check tokens. */
const leewaySeconds = 5;

export function createIdentity(options: IdentityOptions): Identity {
  const { database, bus, log, secrets, scopes, realm } = options;
  const { jwtAlgorithm, jwtIssuer, jwtAudience, sessionRecheckSeconds } = options.security;
  const jwt = createJwt({
    algorithm: jwtAlgorithm,
    secrets,
    issuer: jwtIssuer,
    audience: jwtAudience,
    leewaySeconds,
  });
  const loadApiKey = createLoadApiKey({ database, scopes, log: log.named('auth') });
  const loadSession = createLoadSession({ database });
  const own = createAuthenticator({
    jwt,
    // Concurrent requests share one look-up, which must not end with the request that started it.
    loadSession: (sessionId) => runOutsideRequest(() => loadSession(sessionId)),
    loadApiKey: (key) => runOutsideRequest(() => loadApiKey(key)),
    recheckMs: sessionRecheckSeconds * 1000,
  });
  const authenticator = bus === undefined ? own : shareForgotten(own, bus);
  return {
    jwt,
    authenticator,
    refreshTokens: createRefreshTokens(secrets),
    requireAuthority: createRequireAuthority({ authenticator, realm }),
  };
}
