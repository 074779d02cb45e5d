/**
 * Access tokens: JSON Web Tokens (RFC 7519) of the profile in RFC 9068, signed with HMAC, written and read by hand so
 * that all the rules of RFC 8725 can be seen in one place.
 *
 * A token is refused at the first of these that does not hold, cheapest first, and nothing of it is believed earlier:
 *
 *     size      at most 4096 characters, before anything is looked at
 *     shape     exactly three parts, each in the one base64url that its bytes have
 *     header    the algorithm and type of this server, no extension, a key id that is known     jwt-header.ts
 *     MAC       compared in constant time                                                       jws.ts
 *     payload   one JSON object in UTF-8, no member twice                                       strict-json.ts
 *     claims    issuer, audience, identifiers, times                                            jwt-claims.ts
 *
 * The header never chooses: the algorithm is fixed when the server starts, and a key id can only name one of its keys.
 *
 * Rotation. Each secret has a key id that is derived from it. The first secret signs, all of them verify. To rotate,
 * put a new secret in front, and take the old one away when its last token has expired.
 *
 * What it is not: there are no public keys, so whoever can verify a token can also make one; there is no encryption,
 * so a token holds nothing but ids; and a token cannot be taken back, which is what the session it names is for.
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
  /** The first one signs, all of them verify. Each has at least as many bytes as the algorithm's hash. */
  readonly secrets: readonly string[];
}

export interface TokenRequest {
  readonly subject: string;
  readonly sessionId: string;
  readonly lifetimeSeconds: number;
}

export interface Jwt {
  /**
   * Makes a token that is valid from `nowSeconds`, whole seconds since 1970. Throws a RangeError for a request that
   * `verify` would refuse.
   */
  sign(request: TokenRequest, nowSeconds: number): string;
  /** The claims of a token that holds at `nowSeconds`. Throws a TokenError. */
  verify(token: string, nowSeconds: number): TokenClaims;
}

const maxTokenLength = 4096;

/** Prepares keys and headers. Throws a RangeError for options with which no token could be trusted. */
export function createJwt({ algorithm, secrets, ...rules }: JwtOptions): Jwt {
  checkRules(rules);
  const keys = new Map(secrets.map((secret) => [keyIdOf(secret), createKey(secret, algorithm)]));
  const [signer] = keys;
  if (signer === undefined) throw new RangeError('A JWT needs at least one secret.');
  const [signingKeyId, signingKey] = signer;
  const signingHeader = encodeHeader(algorithm, signingKeyId);

  /**
   * A header that is letter for letter one that is written here needs no parsing: parsing is a function of the text,
   * and what it would find in this text is known. Any other header takes the long way.
   */
  const keysByHeader = new Map([...keys].map(([keyId, key]) => [encodeHeader(algorithm, keyId), key]));

  function keyFor(header: string): KeyObject {
    const key = keysByHeader.get(header) ?? keys.get(readHeader(header, algorithm));
    if (key === undefined) {
      throw new TokenError('unknown_key', 'The access token is signed with a key that is not in use.');
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
        throw new RangeError('The times of a token must be whole seconds, and its lifetime more than none.');
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
        throw new TokenError('malformed', 'The access token has not exactly three parts.');
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
 * The public name of a secret, the same in every process that has it. It gives away no more than any token does: a
 * guess at the secret can be checked with either, which is why a secret must not be guessable.
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
