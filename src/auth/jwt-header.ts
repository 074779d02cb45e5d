/**
 * The header of an access token. It is the part of a token that is read before anything is known to be true, so it
 * decides nothing: the algorithm and the type are compared with the only ones there are, and the key id picks one of
 * the keys that the server holds already.
 */

import { decodeBase64url, encodeBase64url } from './base64url.ts';
import type { JwtAlgorithm } from './jws.ts';
import { parseStrictObject } from './strict-json.ts';
import { TokenError } from './token-error.ts';

/**
 * Members that bring a key along or say where to fetch one, that change what is signed, or that must be understood
 * (RFC 7515, section 4.1; RFC 7797; RFC 7516, section 4.1.3). None is understood here, and none may be passed over.
 */
const refusedMembers = ['crit', 'b64', 'zip', 'jku', 'jwk', 'x5u', 'x5c', 'x5t', 'x5t#S256'] as const;

/** The type of an access token (RFC 9068, section 2.1). */
const type = 'at+jwt';

/** The encoded header of the tokens that are signed here. */
export function encodeHeader(algorithm: JwtAlgorithm, keyId: string): string {
  return encodeBase64url(JSON.stringify({ alg: algorithm, typ: type, kid: keyId }));
}

/** Checks an encoded header and gives the key id it names. Throws a TokenError. */
export function readHeader(encoded: string, algorithm: JwtAlgorithm): string {
  const bytes = decodeBase64url(encoded);
  const header = bytes && parseStrictObject(bytes);
  if (header === undefined) {
    throw new TokenError('malformed', 'The header of the access token is not a JSON object in base64url.');
  }
  if (refusedMembers.some((name) => Object.hasOwn(header, name))) {
    throw new TokenError('unsupported', 'The access token has a header parameter that is not taken here.');
  }
  if (header.alg !== algorithm) {
    throw new TokenError('unsupported', 'The access token is not signed with the algorithm of this server.');
  }
  if (!isAccessTokenType(header.typ)) {
    throw new TokenError('wrong_type', `The token is not an access token: its typ must be ${type}.`);
  }
  if (typeof header.kid !== 'string') {
    throw new TokenError('unknown_key', 'The access token does not say which key it is signed with.');
  }
  return header.kid;
}

/** With or without `application/`, in any case: it is a media type (RFC 7515, section 4.1.9). */
function isAccessTokenType(typ: unknown): boolean {
  return typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === type;
}
