import { createHash, randomBytes } from 'node:crypto';

/** A token that is sent by mail, and its stored hash. */
export interface OneTimeToken {
  /** `sot_` and 256 random bits in base64url. */
  readonly token: string;
  readonly hash: Buffer;
}

const form = /^sot_[A-Za-z0-9_-]{43}$/;

/** Creates a token. Its prefix allows secret scanners to recognise it. */
export function createOneTimeToken(): OneTimeToken {
  const token = `sot_${randomBytes(32).toString('base64url')}`;
  return { token, hash: sha256(token) };
}

/**
 * Returns the hash by which a token is stored and found; undefined for a malformed text. One round of SHA-256 is sufficient:
 * 256 random bits cannot be guessed, so a slow hash would add no protection.
 */
export function hashOneTimeToken(token: string): Buffer | undefined {
  return form.test(token) ? sha256(token) : undefined;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
