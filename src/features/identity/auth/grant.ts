import type { Jwt } from '../../../auth/jwt/jwt.ts';
import type { Scope } from '../../../auth/principal.ts';

/** The origin of a request, for the list of sessions and the log. */
export interface Client {
  readonly address: string;
  readonly userAgent: string | undefined;
}

/** The result of a login or a refresh. */
export interface Grant {
  readonly sessionId: string;
  readonly accessToken: string;
  /** Lifetime of the access token, in seconds. */
  readonly expiresIn: number;
  readonly refreshToken: string;
  /** Lifetime of the session if it is not refreshed, in seconds. */
  readonly sessionExpiresIn: number;
  /** The scopes of the access token, separated by spaces (RFC 6749, section 3.3). */
  readonly scope: string;
}

/** The facts of a session from which its tokens are made. */
export interface GrantedSession {
  readonly sessionId: string;
  readonly userId: number;
  readonly refreshToken: string;
  readonly expiresAt: Date;
}

/** Makes the tokens of a session. The access token does not outlive the session. `now` is in milliseconds since 1970. */
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
