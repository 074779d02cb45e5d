/**
 * Estimates the randomness of a text: the bits needed to encode it with a model of texts that people make up. The model knows
 * how often letters follow each other in words and names, common words in secrets, the usual places of capitals and digits,
 * sequences, and repetitions. Random letters need more bits than by their alphabet alone, and made-up texts far fewer:
 *
 *     text                                        bits    by its alphabet
 *     f4c1a9...  (openssl rand -hex 32)           300     256
 *     ThisIsMySecretKeyForJwtSigning2024          103     204
 *
 * The estimate is a shortest path: `minBits[n]` is the minimum cost of the first n characters over all ways to divide them.
 *
 * The costs of letters come from word lists (English by frequency, and the BIP-39 lists of six languages) and from first
 * names. Only the frequencies of pairs are stored.
 */

import { commonPasswords } from './common-passwords.ts';
import { allDisguises } from './disguised-letters.ts';
import { placeholderWords } from './published-secrets.ts';

/** The cost of each letter after each letter (last row: at the start of a word), in thirds of a bit, in base 36. */
const pairs = `
vfdcokflenj9e8qgr8daggmoik 8fuq8zzu9nrarr9zz9hnbqvzhw 8zgx8zy8bzddzt8zqdocdwzzkz 8pph6tkq7qshnk8rzcgsempzgx
dkebfjhpinlaf9khp7acjhmhjl 8zzz8bwz8xwbwz9zzaogbzzzjz 8vzp6vfc9zzdoeazzaipbzozjz 6rvq6tzq9yshlj8yxeoedtszgz
cjbebifuxskbf7cincbbofzoyk 6wop6ptzcwntkk6szwnp8zzzrz 6uoo7sso8zodngasudeigoozez 8nlh7mok8zlakp9mzshgekvzdt
6dqy7rzw8zznfl9czojxdzyziz 9tdb8k9lboipsdbuspdailuujm jffelkhmhnibd7ffs8cdcfgnlk 8tst8wweazqbuq8dz9gfdzzzlz
zzszzzzzkzzzzzzzzqzz0zzzzz 8khf7nhp8tligg9ltffefktzfp aoes8mqcazihilbenqb7dplzjz 8skw7tyc8zpjqo9wzagceqozgu
ffdebjfodpladamet8abxkzlqk 7vus5zzy6yknyl9vzhryknzzgm 6otk7nub7xlircaxzefqszszjz 9zbz9tzg6zqqtzd8ozz9fztzez
ageg9oknfnhbd8ceze9eiknztl 6kmf7zsj9qjgih9kzjnmfhzzhb bdaddeffghhecgfcpdadjghvol
`
  .trim()
  .split(/\s+/)
  .map((row) => Array.from(row, (digit) => Number.parseInt(digit, 36) / 3));

const minWordLength = 4;
const maxWordLength = 14;
const words: ReadonlySet<string> = new Set(
  [...placeholderWords, ...commonPasswords].filter(
    (word) => /^[a-z]+$/.test(word) && word.length >= minWordLength && word.length <= maxWordLength,
  ),
);

/** The rows and columns of a keyboard, in both directions. */
const walks = [
  ...['1234567890-=', '!@#$%^&*()_+', 'qwertyuiop[]', "asdfghjkl;'", 'zxcvbnm,./'],
  ...['1qaz', '2wsx', '3edc', '4rfv', '5tgb', '6yhn', '7ujm', '8ik,', '9ol.', '0p;/'],
  ...['!qaz', '@wsx', '#edc', '$rfv', '%tgb', '^yhn', '&ujm', '*ik<', '(ol>', ')p:?'],
].flatMap((walk) => [walk, Array.from(walk).reverse().join('')]);

type Kind = 'lower' | 'upper' | 'digit' | 'separator' | 'other';

/** The costs of words, of characters other than letters, and of repetitions, in bits. */
const costs = { word: 11.5, disguise: 1.5, digit: 3.32, separator: 3, other: 6.5, sequence: 0.5, copy: 3 };

/** Only this many characters of a text are judged, because repetitions are searched from every position. */
const maxLength = 512;

/** Returns the estimated strength of a text, in bits of entropy. */
export function textBits(whole: string): number {
  const text = whole.slice(0, maxLength);
  const minBits = new Float64Array(text.length + 1).fill(Number.POSITIVE_INFINITY);
  minBits[0] = 0;
  const reach = (end: number, cost: number) => {
    minBits[end] = Math.min(minBits[end] ?? cost, cost);
  };
  for (let at = 0; at < text.length; at += 1) {
    const before = minBits[at] ?? 0;
    reach(at + 1, before + (continuesSequence(text, at) ? costs.sequence : characterBits(text, at)));
    for (const { length, bits } of wordsAt(text, at)) reach(at + length, before + bits);
    const copied = matchLength(text, at);
    for (let length = minWordLength; length <= copied; length += 1) {
      reach(at + length, before + Math.log2(at) + Math.log2(length) + costs.copy);
    }
  }
  return minBits[text.length] ?? 0;
}

/** Returns the bits of a uniformly random text of this length and alphabet. */
export function uniformBits(whole: string): number {
  const text = whole.slice(0, maxLength);
  const plain = text.replaceAll('-', '');
  if (/^(?:[0-9a-f]+|[0-9A-F]+)$/.test(plain)) return plain.length * 4;
  if (/^(?:[0-9a-z]+|[0-9A-Z]+)$/.test(text)) return text.length * Math.log2(36);
  return text.length * 6;
}

function characterBits(text: string, at: number): number {
  const character = text.charAt(at);
  const kind = kindOf(character);
  const former = at === 0 ? undefined : kindOf(text.charAt(at - 1));
  switch (kind) {
    case 'lower':
    case 'upper': {
      const follows = former === 'lower' || former === 'upper';
      const row = pairs[follows ? letterIndex(text.charAt(at - 1)) : 26];
      const bits = row?.[letterIndex(character)] ?? 0;
      if (!follows) return bits + (at === 0 ? 0.5 : 1.5);
      if (former === kind) return bits + 0.2;
      return bits + (kind === 'lower' ? 1.2 : 3);
    }
    case 'digit':
      return costs.digit + (former === 'digit' ? 0.2 : 2);
    case 'separator':
      return costs.separator + (former === 'separator' ? 1 : 0.5);
    case 'other':
      return costs.other;
  }
}

/** Returns whether this character continues a sequence of the two before it: 345, cba, zzz, qwe, 1qa. */
function continuesSequence(text: string, at: number): boolean {
  if (at < 2) return false;
  const three = text.slice(at - 2, at + 1).toLowerCase();
  if (walks.some((walk) => walk.includes(three))) return true;
  const step = text.charCodeAt(at) - text.charCodeAt(at - 1);
  return Math.abs(step) <= 1 && step === text.charCodeAt(at - 1) - text.charCodeAt(at - 2);
}

/** Yields the known words that begin here, in any case, also with replaced letters as in "s3cr3t". */
function* wordsAt(text: string, at: number): Generator<{ readonly length: number; readonly bits: number }> {
  let word = '';
  let capitals = 0;
  let disguised = 0;
  for (let length = 1; length <= maxWordLength && at + length <= text.length; length += 1) {
    const character = text.charAt(at + length - 1);
    const kind = kindOf(character);
    if (kind === 'upper') capitals += 1;
    if (kind === 'lower' || kind === 'upper') {
      word += character.toLowerCase();
    } else {
      const letter = allDisguises[character];
      if (letter === undefined) return;
      word += letter;
      disguised += 1;
    }
    if (length < minWordLength || disguised > length / 2 || !words.has(word)) continue;
    const isUsual =
      capitals === length - disguised || (capitals === 1 && kindOf(text.charAt(at)) === 'upper');
    const capitalBits = capitals === 0 ? 0 : isUsual ? 1.5 : length;
    yield { length, bits: costs.word + capitalBits + disguised * costs.disguise };
  }
}

/** Returns the length of the longest text from here that also occurs earlier. */
function matchLength(text: string, at: number): number {
  let longest = 0;
  for (let from = 0; from < at; from += 1) {
    let length = 0;
    while (at + length < text.length && text[from + length] === text[at + length]) length += 1;
    if (length > longest) longest = length;
  }
  return longest;
}

function kindOf(character: string): Kind {
  if (character >= 'a' && character <= 'z') return 'lower';
  if (character >= 'A' && character <= 'Z') return 'upper';
  if (character >= '0' && character <= '9') return 'digit';
  return '-_ .:,/'.includes(character) ? 'separator' : 'other';
}

function letterIndex(letter: string): number {
  return letter.toLowerCase().charCodeAt(0) - 97;
}
