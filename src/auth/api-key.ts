/**
 * API keys: what a program shows instead of signing in.
 *
 *     sak_ 2Yd…43 characters…Qx0  01hk5zw
 *     prefix     the secret       checksum
 *
 * - The prefix says what it is, so that scanners for secrets find a key which was committed or pasted by mistake.
 * - The secret is 43 letters and digits at random: 256 bits. No character of it ends a word, so a double click takes all.
 * - The checksum is the CRC-32 of what stands before it. It tells a mistyped key, and most things that a scanner might
 *   take for one, from a real key without asking anybody. It protects nothing: whoever makes up a key can compute it.
 *
 * The database has a hash of the key and never the key. SHA-256 is enough here and scrypt would be wasted: it makes
 * guessing dear where a person chose the secret, and nobody guesses 256 random bits, however fast the hash. It also
 * lets a key be found by its hash, with an index, for which a salted hash would have to try every row.
 */

import { createHash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A well-formed key. Whether it is in force, only the database knows. */
export interface ApiKey {
  /** What the program sends. */
  readonly text: string;
  /** Its first 8 characters, by which people tell their keys apart. They may be shown and logged. */
  readonly prefix: string;
  /** Its SHA-256, which is stored. */
  readonly hash: Buffer;
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretLength = 43;
const form = /^(sak_[0-9A-Za-z]{43})([0-9a-z]{7})$/;

/** Makes a new key. */
export function makeApiKey(): ApiKey {
  const secret = Array.from({ length: secretLength }, () => alphabet.charAt(randomInt(alphabet.length)));
  const start = `sak_${secret.join('')}`;
  return describeKey(start + checksum(start));
}

/** The key that a text is; undefined if no key looks like this. */
export function parseApiKey(text: string): ApiKey | undefined {
  const [, start = '', sum] = form.exec(text) ?? [];
  return sum === checksum(start) ? describeKey(text) : undefined;
}

function describeKey(text: string): ApiKey {
  return { text, prefix: text.slice(0, 8), hash: createHash('sha256').update(text).digest() };
}

/** CRC-32 in base 36, always 7 characters. */
function checksum(start: string): string {
  return crc32(start).toString(36).padStart(7, '0');
}
