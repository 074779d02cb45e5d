import { createHash, randomBytes } from 'node:crypto';

/** A token as it is mailed, and what is kept of it. */
export interface OneTimeToken {
  /** `sot_` and 256 random bits in base64url. */
  readonly token: string;
  readonly hash: Buffer;
}

const form = /^sot_[A-Za-z0-9_-]{43}$/;

/** Makes a token. Its prefix lets programs that look for leaked secrets recognise it. */
export function createOneTimeToken(): OneTimeToken {
  const token = `sot_${randomBytes(32).toString('base64url')}`;
  return { token, hash: sha256(token) };
}

/**
 * What is kept of a token, to look it up by; undefined for a text that never was one. One round of SHA-256 is enough:
 * nobody guesses 256 random bits, so there is nothing for a slow hash to slow down.
 */
export function hashOneTimeToken(token: string): Buffer | undefined {
  return form.test(token) ? sha256(token) : undefined;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
