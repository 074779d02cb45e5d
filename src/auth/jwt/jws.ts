/**
 * The envelope of a JWT: JWS compact serialisation (RFC 7515, section 7.1) with HMAC (RFC 7518, section 3.2).
 *
 *     base64url(header) . base64url(payload) . base64url(HMAC(key, everything before the last dot))
 *
 * This module does not interpret the header or the payload.
 */

import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { decodeBase64url, encodeBase64url } from './base64url.ts';

/** The supported algorithms, with the size of the MAC in bytes, which is also the minimum size of a key. */
export const jwtAlgorithms = {
  HS256: { hash: 'sha256', bytes: 32 },
  HS384: { hash: 'sha384', bytes: 48 },
  HS512: { hash: 'sha512', bytes: 64 },
} as const;

export type JwtAlgorithm = keyof typeof jwtAlgorithms;

/** The three encoded parts, and the text that the signature covers. */
export interface CompactJws {
  readonly header: string;
  readonly payload: string;
  readonly signature: string;
  readonly signingInput: string;
}

/** Splits a compact JWS. Returns undefined unless the text has exactly two dots. */
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

/** Signs a payload. The header is passed encoded, so that it is encoded once for many tokens. */
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
 * Returns whether the signature is valid for this key. The MACs are compared in constant time, so the duration discloses
 * nothing about how many bytes of a guess are correct.
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
