/**
 * Access tokens: JSON Web Tokens (RFC 7519) with the profile of RFC 9068, signed with HMAC. The implementation is our own, so
 * that all rules of RFC 8725 are visible in one place.
 *
 * A token is rejected by the first check that fails, cheapest first. No part of it is trusted before its check:
 *
 *     size      at most 4096 characters
 *     shape     exactly three parts, each in canonical base64url
 *     header    the algorithm and type of this server, no extensions, a known key id            jwt-header.ts
 *     MAC       compared in constant time                                                       jws.ts
 *     payload   one JSON object in UTF-8 without duplicate members                              strict-json.ts
 *     claims    issuer, audience, identifiers, times                                            jwt-claims.ts
 *
 * The header controls nothing: the algorithm is fixed at the start, and the key id can only select a key of this server.
 *
 * Rotation. Each secret has a key id that is derived from it. The first secret signs, all secrets verify. To rotate, put a
 * new secret first, and remove the old one when its last token has expired.
 *
 * Limits. There are no public keys, so every holder of a secret can both verify and issue tokens. There is no encryption, so
 * a token contains only ids. A token cannot be revoked; the session that it names can.
 */

import { createHash, createSecretKey, type KeyObject, randomUUID } from 'node:crypto';
import { decodeBase64url } from './base64url.ts';
import { isSigned, type JwtAlgorithm, jwtAlgorithms, signCompact, splitCompact } from './jws.ts';
import { type ClaimRules, isIdentifier, readClaims, type TokenClaims } from './jwt-claims.ts';
import { encodeHeader, readHeader } from './jwt-header.ts';
import { type JsonObject, parseStrictObject } from './strict-json.ts';
import { TokenError } from './token-error.ts';

export interface JwtOptions extends ClaimRules {
  readonly algorithm: JwtAlgorithm;
  /** The first one signs, all of them verify. Each needs at least as many bytes as the hash of the algorithm. */
  readonly secrets: readonly string[];
}

export interface TokenRequest {
  readonly subject: string;
  readonly sessionId: string;
  readonly lifetimeSeconds: number;
}

export interface Jwt {
  /**
   * Creates a token that is valid from `nowSeconds`, in whole seconds since 1970. Throws a RangeError for a token that
   * `verify` would reject.
   */
  sign(request: TokenRequest, nowSeconds: number): string;
  /** Returns the claims of a token that is valid at `nowSeconds`. Throws a TokenError. */
  verify(token: string, nowSeconds: number): TokenClaims;
}

const maxTokenLength = 4096;

/** Creates the signer and verifier. Throws a RangeError for insecure or invalid options. */
export function createJwt({ algorithm, secrets, ...rules }: JwtOptions): Jwt {
  checkRules(rules);
  const keys = new Map(secrets.map((secret) => [keyIdOf(secret), createKey(secret, algorithm)]));
  const [signer] = keys;
  if (signer === undefined) throw new RangeError('A JWT needs at least one secret.');
  const [signingKeyId, signingKey] = signer;
  const signingHeader = encodeHeader(algorithm, signingKeyId);

  /**
   * The keys by the exact encoded headers that this server writes. Such a header needs no parsing, because the result is
   * known. Any other header is parsed.
   */
  const keysByHeader = new Map([...keys].map(([keyId, key]) => [encodeHeader(algorithm, keyId), key]));

  function keyFor(header: string): KeyObject {
    const key = keysByHeader.get(header) ?? keys.get(readHeader(header, algorithm));
    if (key === undefined) {
      throw new TokenError(
        'unknown_key',
        'The access token is signed with a key that this server does not use.',
      );
    }
    return key;
  }

  return {
    sign({ subject, sessionId, lifetimeSeconds }, nowSeconds) {
      const exp = nowSeconds + lifetimeSeconds;
      if (!isIdentifier(subject) || !isIdentifier(sessionId)) {
        throw new RangeError('The subject and the session of a token must have 1 to 255 characters.');
      }
      if (
        !Number.isSafeInteger(nowSeconds) ||
        !Number.isSafeInteger(exp) ||
        nowSeconds < 0 ||
        exp <= nowSeconds
      ) {
        throw new RangeError(
          'The times of a token must be whole seconds, and its lifetime must be positive.',
        );
      }
      const claims: TokenClaims = {
        iss: rules.issuer,
        aud: rules.audience,
        sub: subject,
        sid: sessionId,
        jti: randomUUID(),
        iat: nowSeconds,
        nbf: nowSeconds,
        exp,
      };
      const token = signCompact(signingHeader, JSON.stringify(claims), algorithm, signingKey);
      if (token.length > maxTokenLength) throw new RangeError('The token would be too long to be verified.');
      return token;
    },

    verify(token, nowSeconds) {
      if (token.length > maxTokenLength) throw new TokenError('too_long', 'The access token is too long.');
      const jws = splitCompact(token);
      if (jws === undefined) {
        throw new TokenError('malformed', 'The access token does not have exactly three parts.');
      }
      if (!isSigned(jws, algorithm, keyFor(jws.header))) {
        throw new TokenError('bad_signature', 'The signature of the access token is wrong.');
      }
      return readClaims(readPayload(jws.payload), rules, nowSeconds);
    },
  };
}

function checkRules({ issuer, audience, leewaySeconds }: ClaimRules): void {
  if (!isIdentifier(issuer) || !isIdentifier(audience)) {
    throw new RangeError('The issuer and the audience of a JWT must have 1 to 255 characters.');
  }
  if (!Number.isInteger(leewaySeconds) || leewaySeconds < 0 || leewaySeconds > 300) {
    throw new RangeError('The leeway of a JWT must be whole seconds from 0 to 300.');
  }
}

function createKey(secret: string, algorithm: JwtAlgorithm): KeyObject {
  const { bytes } = jwtAlgorithms[algorithm];
  const key = Buffer.from(secret);
  if (key.length < bytes) {
    throw new RangeError(
      `A secret for ${algorithm} must have at least ${bytes} bytes (RFC 7518, section 3.2).`,
    );
  }
  return createSecretKey(key);
}

/**
 * Returns the public id of a secret, which is the same in every process. It discloses no more than any token does: with
 * either of them a guess of the secret can be verified, so a secret must not be guessable.
 */
function keyIdOf(secret: string): string {
  const digest = createHash('sha256').update('strata jwt key id\0').update(secret).digest();
  return digest.subarray(0, 8).toString('base64url');
}

function readPayload(encoded: string): JsonObject {
  const bytes = decodeBase64url(encoded);
  const payload = bytes && parseStrictObject(bytes);
  if (payload === undefined) {
    throw new TokenError('malformed', 'The payload of the access token is not a JSON object in base64url.');
  }
  return payload;
}
