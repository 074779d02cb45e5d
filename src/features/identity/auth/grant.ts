import type { Jwt } from '../../../auth/jwt.ts';
import type { Scope } from '../../../auth/principal.ts';

/** Where a request came from, for the list of sessions and the log. */
export interface Client {
  readonly address: string;
  readonly userAgent: string | undefined;
}

/** What a login and a refresh give. */
export interface Grant {
  readonly sessionId: string;
  readonly accessToken: string;
  /** How long the access token is good for, in seconds. */
  readonly expiresIn: number;
  readonly refreshToken: string;
  /** How long the session lives if it is not refreshed, in seconds. */
  readonly sessionExpiresIn: number;
  /** The scopes of the access token, separated by spaces (RFC 6749, section 3.3). */
  readonly scope: string;
}

/** What a session stands for when tokens are made. */
export interface GrantedSession {
  readonly sessionId: string;
  readonly userId: number;
  readonly refreshToken: string;
  readonly expiresAt: Date;
}

/** Makes the tokens of a session. The access token does not outlive it. `now` is in milliseconds since 1970. */
export type MakeGrant = (session: GrantedSession, now: number) => Grant;

export function createGrants({
  jwt,
  scopes,
  accessTokenSeconds,
}: {
  readonly jwt: Pick<Jwt, 'sign'>;
  readonly scopes: readonly Scope[];
  readonly accessTokenSeconds: number;
}): MakeGrant {
  const scope = scopes.join(' ');
  return function makeGrant({ sessionId, userId, refreshToken, expiresAt }, now) {
    const sessionExpiresIn = Math.max(1, Math.floor((expiresAt.getTime() - now) / 1000));
    const expiresIn = Math.min(accessTokenSeconds, sessionExpiresIn);
    const accessToken = jwt.sign(
      { subject: String(userId), sessionId, lifetimeSeconds: expiresIn },
      Math.floor(now / 1000),
    );
    return { sessionId, accessToken, expiresIn, refreshToken, sessionExpiresIn, scope };
  };
}
