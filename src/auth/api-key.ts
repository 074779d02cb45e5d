/**
 * API keys: the credentials of programs.
 *
 *     sak_ 2Yd…43 characters…Qx0  01hk5zw
 *     prefix     the secret       checksum
 *
 * - The prefix identifies the text as a key, so that secret scanners find a key that was committed or pasted by mistake.
 * - The secret is 43 random letters and digits: 256 bits. It has no word separators, so a double click selects all of it.
 * - The checksum is the CRC-32 of the text before it. It distinguishes a real key from a mistyped one, and from most false
 *   positives of a scanner, without a database query. It is not a protection: an attacker can compute it.
 *
 * The database stores a hash of the key, never the key. SHA-256 is sufficient. A slow hash such as scrypt makes guessing
 * expensive for secrets that people choose, but 256 random bits cannot be guessed, however fast the hash is. An unsalted hash
 * also allows an index look-up; with a salted hash, every row would have to be tried.
 */

import { createHash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** A well-formed key. Only the database knows whether it is valid. */
export interface ApiKey {
  /** The complete key, as the program sends it. */
  readonly text: string;
  /** Its first 8 characters, by which users identify their keys. They may be shown and logged. */
  readonly prefix: string;
  /** Its SHA-256, which the database stores. */
  readonly hash: Buffer;
}

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretLength = 43;
const form = /^(sak_[0-9A-Za-z]{43})([0-9a-z]{7})$/;

/** Creates a new key. */
export function createApiKey(): ApiKey {
  const secret = Array.from({ length: secretLength }, () => alphabet.charAt(randomInt(alphabet.length)));
  const start = `sak_${secret.join('')}`;
  return describeKey(start + checksum(start));
}

/** Parses a key. Returns undefined for a text that is not well-formed. */
export function parseApiKey(text: string): ApiKey | undefined {
  const [, start = '', sum] = form.exec(text) ?? [];
  return sum === checksum(start) ? describeKey(text) : undefined;
}

function describeKey(text: string): ApiKey {
  return { text, prefix: text.slice(0, 8), hash: createHash('sha256').update(text).digest() };
}

/** Returns the CRC-32 in base 36, padded to 7 characters. */
function checksum(start: string): string {
  return crc32(start).toString(36).padStart(7, '0');
}
