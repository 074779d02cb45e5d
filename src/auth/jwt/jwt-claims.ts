/** The claims of an access token and their validation (RFC 7519, section 4.1; RFC 9068, section 2.2). */

import type { JsonObject } from './strict-json.ts';
import { TokenError } from './token-error.ts';

export interface TokenClaims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  /** The id of the user. */
  readonly sub: string;
  /** The id of the session. */
  readonly sid: string;
  readonly jti: string;
  /** Seconds since 1970, like the two below. */
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
}

export interface ClaimRules {
  readonly issuer: string;
  readonly audience: string;
  /** The accepted difference between the clocks of two machines, in seconds. */
  readonly leewaySeconds: number;
}

const maxIdentifierLength = 255;

/** Validates the claims of a token with a valid signature, and returns the known ones. Throws a TokenError. */
export function readClaims(payload: JsonObject, rules: ClaimRules, nowSeconds: number): TokenClaims {
  const { iss, aud, sub, sid, jti, iat, nbf, exp } = payload;
  if (iss !== rules.issuer) {
    throw new TokenError('wrong_issuer', 'The access token was not issued by this service.');
  }
  if (!isAudience(aud) || ![aud].flat().includes(rules.audience)) {
    throw new TokenError('wrong_audience', 'The access token is not meant for this service.');
  }
  if (!isIdentifier(sub) || !isIdentifier(sid) || !isIdentifier(jti)) {
    throw new TokenError('bad_claims', 'The access token lacks a usable sub, sid or jti.');
  }
  if (!isTime(iat) || !isTime(nbf) || !isTime(exp) || exp <= iat) {
    throw new TokenError('bad_claims', 'The access token lacks a usable iat, nbf or exp.');
  }
  if (nowSeconds >= exp + rules.leewaySeconds) {
    throw new TokenError('expired', 'The access token has expired: refresh it.');
  }
  if (nowSeconds + rules.leewaySeconds < Math.max(iat, nbf)) {
    throw new TokenError('not_yet_valid', 'The access token is not valid yet: check the clocks.');
  }
  return { iss, aud, sub, sid, jti, iat, nbf, exp };
}

/** Returns whether a value can be an issuer, an audience, a subject or an id. */
export function isIdentifier(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= maxIdentifierLength;
}

function isAudience(value: unknown): value is string | readonly string[] {
  return (
    typeof value === 'string' || (Array.isArray(value) && value.every((each) => typeof each === 'string'))
  );
}

/** Returns whether a value is a NumericDate (RFC 7519, section 2) in whole seconds, the only kind that this server issues. */
function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
