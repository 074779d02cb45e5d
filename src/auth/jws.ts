/**
 * The envelope of a JWT: JWS compact serialisation (RFC 7515, section 7.1) with HMAC (RFC 7518, section 3.2).
 *
 *     base64url(header) . base64url(payload) . base64url(HMAC(key, everything before the last dot))
 *
 * Nothing here knows what header and payload say.
 */

import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { decodeBase64url, encodeBase64url } from './base64url.ts';

/** The algorithms of this server, with the size of the MAC, which is also the least size of a key, in bytes. */
export const jwtAlgorithms = {
  HS256: { hash: 'sha256', bytes: 32 },
  HS384: { hash: 'sha384', bytes: 48 },
  HS512: { hash: 'sha512', bytes: 64 },
} as const;

export type JwtAlgorithm = keyof typeof jwtAlgorithms;

/** The three parts as they stand in the text, and what the signature is made over. */
export interface CompactJws {
  readonly header: string;
  readonly payload: string;
  readonly signature: string;
  readonly signingInput: string;
}

/** The parts of a compact JWS; undefined if the text has not exactly two dots. */
export function splitCompact(text: string): CompactJws | undefined {
  const first = text.indexOf('.');
  const second = text.indexOf('.', first + 1);
  if (first === -1 || second === -1 || text.includes('.', second + 1)) return undefined;
  return {
    header: text.slice(0, first),
    payload: text.slice(first + 1, second),
    signature: text.slice(second + 1),
    signingInput: text.slice(0, second),
  };
}

/** Signs a payload under a header that is encoded already, so that it can be encoded once for many tokens. */
export function signCompact(
  encodedHeader: string,
  payload: string,
  algorithm: JwtAlgorithm,
  key: KeyObject,
): string {
  const signingInput = `${encodedHeader}.${encodeBase64url(payload)}`;
  return `${signingInput}.${mac(signingInput, algorithm, key).toString('base64url')}`;
}

/**
 * Whether the signature is the one this key makes. The MACs are compared in constant time: how long it takes
 * says nothing about how many bytes of a guess were right.
 */
export function isSigned(
  { signature, signingInput }: CompactJws,
  algorithm: JwtAlgorithm,
  key: KeyObject,
): boolean {
  const claimed = decodeBase64url(signature);
  if (claimed?.length !== jwtAlgorithms[algorithm].bytes) return false;
  return timingSafeEqual(claimed, mac(signingInput, algorithm, key));
}

function mac(signingInput: string, algorithm: JwtAlgorithm, key: KeyObject): Buffer {
  return createHmac(jwtAlgorithms[algorithm].hash, key).update(signingInput).digest();
}
