/**
 * Whether a secret can be guessed. One token is enough to try guesses at its secret without asking the server, as fast
 * as a machine can hash; who finds it can sign tokens for anybody. So a secret has to be random, and this looks for the
 * signs that it is not.
 *
 * It is a check against mistakes and not a measure of entropy: no look at a text can show that it was drawn by chance.
 * `openssl rand -hex 32` always passes.
 */

import { type JwtAlgorithm, jwtAlgorithms } from './jws.ts';
import { placeholderWords, publishedSecrets } from './published-secrets.ts';

const leastCharacters = 8;
const leastRun = 5;

const separators = /[\s_.:,-]+/g;

/** All that is published, the longest first, so that a word is not taken out of a longer one. */
const guessable = new RegExp(
  [...publishedSecrets, ...placeholderWords]
    .map((text) => text.toLowerCase().replace(separators, ''))
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/\W/g, '\\$&'))
    .join('|'),
  'g',
);

/**
 * Why a secret must not sign tokens, as the end of a sentence that begins with its name: "is shorter than ...".
 * Undefined if nothing speaks against it. The answer quotes nothing of the secret.
 */
export function weakness(secret: string, algorithm: JwtAlgorithm): string | undefined {
  return findWeakness(secret, jwtAlgorithms[algorithm].bytes, algorithm);
}

/** The same for a secret of any use, `what`, that needs so many bytes. */
export function findWeakness(secret: string, bytes: number, what: string): string | undefined {
  if (Buffer.byteLength(secret) < bytes) return `is shorter than the ${bytes} bytes that ${what} needs`;
  if (new Set(secret).size < leastCharacters) return `has fewer than ${leastCharacters} different characters`;
  const period = periodOf(secret);
  if (period < bytes && period <= secret.length / 2) {
    return `repeats a text that is shorter than the ${bytes} bytes that ${what} needs`;
  }
  if (Buffer.byteLength(unguessablePart(secret)) < bytes / 2) {
    return 'is a placeholder, an example, or made of words and sequences that are guessed first';
  }
  return undefined;
}

/** The length of the text that makes this one when it is repeated, the last time perhaps not to its end. */
function periodOf(text: string): number {
  for (let period = 1; period < text.length; period += 1) {
    if (text.startsWith(text.slice(period))) return period;
  }
  return text.length;
}

/** What is left without separators, published secrets, known words, and runs such as 12345, fedcba, zzzzz or 112233. */
function unguessablePart(secret: string): string {
  const text = secret.toLowerCase().replace(separators, '').replace(guessable, '');
  let left = '';
  for (let start = 0; start < text.length; ) {
    const end = endOfRun(text, start);
    if (end - start < leastRun) left += text.slice(start, end);
    start = end;
  }
  return left;
}

/** Where the run that begins at `start` ends: each of its characters is the one before, or next to it. */
function endOfRun(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && Math.abs(text.charCodeAt(end) - text.charCodeAt(end - 1)) <= 1) end += 1;
  return end;
}
