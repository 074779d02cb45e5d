/**
 * The signed-in client of the scenario that wants a token: a user and a session in the run's database, and the token of
 * that session. Each run draws a new secret and hands it to the servers in their environment.
 */

import { randomBytes } from 'node:crypto';
import { createJwt } from '../src/auth/jwt/jwt.ts';

/** The secret and the claims with which the servers sign and verify. */
export const jwtSecret = randomBytes(32).toString('hex');

/** The default issuer and audience of our settings. */
export const jwtIssuer = 'strata';
export const jwtAudience = 'strata';

const userId = 1;
const sessionId = 'b5f1f1c8-7a52-4b0c-9d61-0c9a9c6a0001';
export const lifetimeSeconds = 86_400;

/** The user and the session, for a database that has our migrations. */
export const signedInUser = `
  insert into users (id, username, email, password_hash)
    overriding system value values (${userId}, 'ada_lovelace', 'ada@example.org', 'none');
  insert into sessions (id, user_id, transport, address, user_agent, current_hash, created_at, rotated_at, expires_at, ends_at)
    values (
      '${sessionId}', ${userId}, 'body', '127.0.0.1', 'bench', sha256('bench'),
      now(), now(), now() + interval '1 day', now() + interval '1 day'
    );
`;

/** The flaws of tokens that servers must reject. */
export interface Forgery {
  readonly secret?: string;
  readonly issuer?: string;
  readonly audience?: string;
  /** How long ago it was signed. */
  readonly ageSeconds?: number;
}

/** The header of a request from that user; with a forgery, one that no server may accept. */
export function authorization(forgery: Forgery = {}): string {
  const { secret = jwtSecret, issuer = jwtIssuer, audience = jwtAudience, ageSeconds = 0 } = forgery;
  const jwt = createJwt({ algorithm: 'HS256', secrets: [secret], issuer, audience, leewaySeconds: 0 });
  const token = jwt.sign(
    { subject: String(userId), sessionId, lifetimeSeconds },
    Math.floor(Date.now() / 1000) - ageSeconds,
  );
  return `Bearer ${token}`;
}
