/** Creates tokens that `createJwt` does not: with any header and payload, and a valid signature. */

import { createHmac } from 'node:crypto';

export const mintSecret = 'Vq3uY1x9tGm7Zr2Lk8Wd5Hs0Ec6Pb4Nj-Ta_Fi+Ro/XgQzUwKyMeDvCaBnSlJhO5pA';
export const jwtNow = 1_800_000_000;

export const jwtClaims = {
  iss: 'strata',
  aud: 'strata-api',
  sub: '42',
  sid: 'c2Vzc2lvbi1vZi1hZGE',
  jti: '5f0c7a52-7d0e-4a76-8d0e-3a4c5b1f9e21',
  iat: jwtNow - 60,
  nbf: jwtNow - 60,
  exp: jwtNow + 600,
};

export interface MintOptions {
  /** An object, or the exact text or bytes. */
  readonly header: Parts;
  readonly payload?: Parts;
  readonly secret?: string | Buffer;
  readonly hash?: 'sha256' | 'sha384' | 'sha512';
}

type Parts = string | Buffer | object;

/** Creates a compact JWS of exactly these parts, with a valid HMAC. */
export function mintToken({
  header,
  payload = jwtClaims,
  secret = mintSecret,
  hash = 'sha256',
}: MintOptions): string {
  return signParts(encodePart(header), encodePart(payload), secret, hash);
}

/** Like `mintToken`, for encoded parts, which may be encoded incorrectly. */
export function signParts(
  header: string,
  payload: string,
  secret: string | Buffer = mintSecret,
  hash = 'sha256',
): string {
  const input = `${header}.${payload}`;
  return `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`;
}

export function encodePart(part: Parts): string {
  const bytes = typeof part === 'string' || Buffer.isBuffer(part) ? part : JSON.stringify(part);
  return Buffer.from(bytes).toString('base64url');
}

/** Decodes the JSON in a part of a token. */
export function decodePart(token: string, index: 0 | 1): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString());
}
