/**
 * Detects secrets that can be guessed. One token is sufficient to test guesses of its secret offline, as fast as a machine
 * can hash, and an attacker who finds the secret can sign tokens for every user. So a secret must be random. This module
 * looks for signs that it is not:
 *
 * - it is too short, has few distinct characters, or repeats a short text
 * - it is one of several thousand published secrets (published-digests.ts)
 * - too little remains after placeholder words and sequences are removed
 * - a model of words and names predicts it much better than random characters (text-bits.ts)
 * - it steps through the alphabet like the keys of a well-known generator website
 * - any of these is true of the text that it encodes in base64 or hexadecimal
 *
 * It is a check against mistakes: no examination of a text can prove that it is random. Randomly generated secrets pass, in
 * hexadecimal, base64, letters and digits, or any other alphabet; a test tries many.
 */

import { type JwtAlgorithm, jwtAlgorithms } from '../jwt/jws.ts';
import { isListedSecret } from './published-digests.ts';
import { placeholderWords, publishedSecrets } from './published-secrets.ts';
import { textBits, uniformBits } from './text-bits.ts';

const minDistinctCharacters = 8;
const minRunLength = 5;

/**
 * The minimum ratio of the bits of a secret by the model of words to its bits by the alphabet. Random secrets have 1.2 on
 * average, and 0.85 once in 30,000.
 */
const minBitsRatio = 0.8;

/** Random bytes can decode to a shorter text by chance. */
const minDecodedLength = 16;

const separators = /[\s_.:,-]+/g;

/** Everything published, longest first, so that a longer text is removed before a word within it. */
const guessable = new RegExp(
  [...publishedSecrets, ...placeholderWords]
    .map((text) => text.toLowerCase().replace(separators, ''))
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/\W/g, '\\$&'))
    .join('|'),
  'g',
);

/**
 * Returns why a secret must not sign tokens, as a predicate to append to its name: "is shorter than ...". Returns undefined
 * if no weakness was found. The text quotes nothing of the secret.
 */
export function findJwtSecretWeakness(secret: string, algorithm: JwtAlgorithm): string | undefined {
  return findWeakness(secret, jwtAlgorithms[algorithm].bytes, algorithm);
}

/** Like `findJwtSecretWeakness`, for a secret of another use, `what`, which needs a minimum of `bytes`. */
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
    return 'is a placeholder, an example, or made of words and sequences, which are guessed first';
  }
  if (isListedSecret(secret)) return 'is published in a list of secrets that attackers try first';
  return undefined;
}

function isMadeUp(text: string, bytes: number): boolean {
  return (
    Buffer.byteLength(unguessablePart(text)) < bytes / 2 ||
    textBits(text) < minBitsRatio * uniformBits(text) ||
    isStepped(text)
  );
}

/** Returns the texts that a secret encodes. Random bytes do not decode to ASCII text. */
function decodings(secret: string): string[] {
  const decoded: Buffer[] = [];
  if (/^(?:[0-9a-f]{2})+$/i.test(secret)) decoded.push(Buffer.from(secret, 'hex'));
  if (/^[A-Za-z0-9+/_-]+={0,2}$/.test(secret)) decoded.push(Buffer.from(secret, 'base64'));
  return decoded
    .map((bytes) => bytes.toString('latin1').trim())
    .filter((text) => text.length >= minDecodedLength && /^[\x20-\x7e]+$/.test(text));
}

/**
 * Returns whether most characters are 2 to 5 places after the second last one in their alphabet, as in KbPeShVmYq3t6w9z: the
 * pattern of a generator website that many tutorials recommend. In random texts at most a seventh of the characters are.
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

/** Returns the length of the shortest text whose repetition is this text; the last repetition may be incomplete. */
function periodOf(text: string): number {
  for (let period = 1; period < text.length; period += 1) {
    if (text.startsWith(text.slice(period))) return period;
  }
  return text.length;
}

/** Removes separators, published secrets, known words, and runs such as 12345, fedcba, zzzzz or 112233. */
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

/** Returns the end of the run from `start`: each character equals the previous one or is its neighbour. */
function endOfRun(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && Math.abs(text.charCodeAt(end) - text.charCodeAt(end - 1)) <= 1) end += 1;
  return end;
}
