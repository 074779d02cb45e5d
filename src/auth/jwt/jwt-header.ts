/**
 * The header of an access token. The header is read before the signature is verified, so it must not control anything: the
 * algorithm and the type must equal the only supported ones, and the key id can only select one of the keys of the server.
 */

import { decodeBase64url, encodeBase64url } from './base64url.ts';
import type { JwtAlgorithm } from './jws.ts';
import { parseStrictObject } from './strict-json.ts';
import { TokenError } from './token-error.ts';

/**
 * Members that carry a key or the location of one, that change what is signed, or that must be understood (RFC 7515,
 * section 4.1; RFC 7797; RFC 7516, section 4.1.3). None is supported, and none may be ignored.
 */
const forbiddenMembers = ['crit', 'b64', 'zip', 'jku', 'jwk', 'x5u', 'x5c', 'x5t', 'x5t#S256'] as const;

/** The type of an access token (RFC 9068, section 2.1). */
const type = 'at+jwt';

/** Returns the encoded header of the tokens that this server signs. */
export function encodeHeader(algorithm: JwtAlgorithm, keyId: string): string {
  return encodeBase64url(JSON.stringify({ alg: algorithm, typ: type, kid: keyId }));
}

/** Validates an encoded header and returns its key id. Throws a TokenError. */
export function readHeader(encoded: string, algorithm: JwtAlgorithm): string {
  const bytes = decodeBase64url(encoded);
  const header = bytes && parseStrictObject(bytes);
  if (header === undefined) {
    throw new TokenError('malformed', 'The header of the access token is not a JSON object in base64url.');
  }
  if (forbiddenMembers.some((name) => Object.hasOwn(header, name))) {
    throw new TokenError(
      'unsupported',
      'The access token has a header parameter that this server does not support.',
    );
  }
  if (header.alg !== algorithm) {
    throw new TokenError('unsupported', 'The access token is not signed with the algorithm of this server.');
  }
  if (!isAccessTokenType(header.typ)) {
    throw new TokenError('wrong_type', `The token is not an access token: its typ must be ${type}.`);
  }
  if (typeof header.kid !== 'string') {
    throw new TokenError('unknown_key', 'The access token has no key id (kid).');
  }
  return header.kid;
}

/** Accepts the type in any case, with or without `application/`: it is a media type (RFC 7515, section 4.1.9). */
function isAccessTokenType(typ: unknown): boolean {
  return typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === type;
}
