/**
 * Whether a secret can be guessed. One token is enough to try guesses at its secret without asking the server, as fast
 * as a machine can hash; who finds it can sign tokens for anybody. So a secret has to be random, and this looks for the
 * signs that it is not:
 *
 * - it is too short, has few different characters, or repeats a short text
 * - it is one of some thousand published secrets (published-digests.ts)
 * - without the words of placeholders and without sequences, too little of it is left
 * - it costs much less to write down for somebody who expects words than random characters do (text-bits.ts)
 * - it steps through the alphabet in the way of a well-known website that makes keys
 * - any of this is true of what it encodes in base64 or hexadecimal digits
 *
 * It is a check against mistakes: no look at a text can show that it was drawn by chance. A secret that was drawn at random
 * passes, in hexadecimal digits, base64, letters and digits, or any other alphabet; a test tries many.
 */

import { type JwtAlgorithm, jwtAlgorithms } from './jws.ts';
import { isListedSecret } from './published-digests.ts';
import { placeholderWords, publishedSecrets } from './published-secrets.ts';
import { textBits, uniformBits } from './text-bits.ts';

const minDistinctCharacters = 8;
const minRunLength = 5;

/** The least bits of a random secret as words, in parts of its bits by the alphabet. 1.2 on average; 0.85 once in 30,000. */
const minBitsRatio = 0.8;

/** A shorter text can be what random bytes happen to be. */
const minDecodedLength = 16;

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
  if (new Set(secret).size < minDistinctCharacters)
    return `has fewer than ${minDistinctCharacters} different characters`;
  const period = periodOf(secret);
  if (period < bytes && period <= secret.length / 2) {
    return `repeats a text that is shorter than the ${bytes} bytes that ${what} needs`;
  }
  if (
    isMadeUp(secret, bytes) ||
    decodings(secret).some(
      (text) => isMadeUp(text, bytes) || decodings(text).some((inner) => isMadeUp(inner, bytes)),
    )
  ) {
    return 'is a placeholder, an example, or made of words and sequences that are guessed first';
  }
  if (isListedSecret(secret)) return 'is published, in a list of secrets that are tried first';
  return undefined;
}

function isMadeUp(text: string, bytes: number): boolean {
  return (
    Buffer.byteLength(unguessablePart(text)) < bytes / 2 ||
    textBits(text) < minBitsRatio * uniformBits(text) ||
    isStepped(text)
  );
}

/** The texts that a secret encodes: bytes that were drawn at random are no ASCII text. */
function decodings(secret: string): string[] {
  const decoded: Buffer[] = [];
  if (/^(?:[0-9a-f]{2})+$/i.test(secret)) decoded.push(Buffer.from(secret, 'hex'));
  if (/^[A-Za-z0-9+/_-]+={0,2}$/.test(secret)) decoded.push(Buffer.from(secret, 'base64'));
  return decoded
    .map((bytes) => bytes.toString('latin1').trim())
    .filter((text) => text.length >= minDecodedLength && /^[\x20-\x7e]+$/.test(text));
}

/**
 * Whether every second character is mostly the one 2 to 5 places further in its alphabet, as in KbPeShVmYq3t6w9z: what a
 * website makes that many tutorials send their readers to. Of random characters a seventh is at most.
 */
function isStepped(text: string): boolean {
  let steps = 0;
  for (let at = 2; at < text.length; at += 1) {
    const step = text.charCodeAt(at) - text.charCodeAt(at - 2);
    const isSameKind = alphabets.some(
      (alphabet) => alphabet.test(text.charAt(at)) && alphabet.test(text.charAt(at - 2)),
    );
    if (isSameKind && step >= 2 && step <= 5) steps += 1;
  }
  return steps > 0.5 * (text.length - 2);
}

const alphabets = [/[a-z]/, /[A-Z]/, /[0-9]/];

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
    if (end - start < minRunLength) left += text.slice(start, end);
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
