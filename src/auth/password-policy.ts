/**
 * Which passwords are accepted, after NIST SP 800-63B, section 3.1.1.2, and OWASP ASVS 5.0, section 6.2: length is what
 * counts, no kind of character is required, none is forbidden, and what is tried first is refused:
 *
 * - the commonest passwords, also with letters replaced ("p@ssw0rd") or up to four digits and signs around them
 * - sequences, repetitions and common words with a number, which have less than 28 bits by `text-bits.ts`
 * - what is made of the user's own names or of the name of the service. These are taken out of the password before its
 *   length is measured, whatever their case and whatever separates their parts: "ada_lovelace", "Lovelace-Ada1" and
 *   "4d4lovelace2026" are refused, and "ada_lovelace knits socks" is accepted
 */

import { commonPasswords } from './common-passwords.ts';
import { textBits } from './text-bits.ts';

/** The fewest and the most characters (Unicode code points) of a password. */
export const passwordLength = { min: 8, max: 128 } as const;

/** Whose password it is, and where: what a guesser tries first. */
export interface PasswordOwner {
  readonly username: string;
  readonly email: string;
  /** What the service calls itself. */
  readonly service?: string;
}

/** "abcdefghijklmnop" has 16 bits, "admin2026" 27, "football team" 33, and eight letters and digits drawn at random over 40. */
const minBits = 28;

/** Shorter names stand in too many words by chance. */
const minNameLength = 3;

/** Letters that people replace by digits and signs. */
const disguises: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/** What is wrong with a new password, as a sentence that says what to do; undefined for nothing. */
export function findPasswordError(password: string, owner: PasswordOwner): string | undefined {
  // As it is hashed: whatever keyboard it was typed on.
  const normalised = password.normalize('NFKC');
  const length = lengthOf(normalised);
  if (length < passwordLength.min) return `Use at least ${passwordLength.min} characters.`;
  if (length > passwordLength.max) return `Use at most ${passwordLength.max} characters.`;
  const lower = normalised.toLowerCase();
  if (isCommon(lower)) return 'Choose another password: many people use this one.';
  if (textBits(normalised) < minBits) {
    return 'Choose another password: this one is a sequence, a repetition or a common word, which are tried first.';
  }
  if (isMadeOf(namesOf(owner), lower)) {
    return `Choose another password: without your username, your e-mail address and the name of this service it must still have ${passwordLength.min} characters.`;
  }
  return undefined;
}

function isCommon(lower: string): boolean {
  const core = /^[^\p{L}]{0,4}(.*?)[^\p{L}]{0,4}$/u.exec(lower)?.[1] ?? lower;
  return [lower, core, plainLetters(lower), plainLetters(core)].some((text) => commonPasswords.has(text));
}

/** Whether too little is left of a password without these names, or only a common password. */
function isMadeOf(names: readonly string[], lower: string): boolean {
  return [lower, plainLetters(lower)].some((text) => {
    const compact = withoutSeparators(text);
    const rest = names.reduce((left, name) => left.replaceAll(name, ''), compact);
    if (rest === compact) return false;
    // Separators count where they stand between other characters, as in a sentence.
    const length = lengthOf(rest) + (lengthOf(rest) > 0 ? lengthOf(text) - lengthOf(compact) : 0);
    return length < passwordLength.min || commonPasswords.has(rest) || /^\d*$/.test(rest);
  });
}

/** The names that a password must not be made of, the longest first, so that a part is not taken out of the whole. */
function namesOf({ username, email, service = '' }: PasswordOwner): string[] {
  const at = email.lastIndexOf('@');
  const [mailbox, domain] = [email.slice(0, at), email.slice(at + 1)];
  const whole = [email, mailbox, domain, username, service].map((name) =>
    name.normalize('NFKC').toLowerCase(),
  );
  const parts = whole.flatMap((name) => name.split(/[^\p{L}]+/u));
  const names = [...whole.map(withoutSeparators), ...parts].filter((name) => name.length >= minNameLength);
  return [...new Set(names.flatMap((name) => [name, Array.from(name).reverse().join('')]))].sort(
    (one, other) => other.length - one.length,
  );
}

/** The text with the letters that its digits and signs stand for. */
function plainLetters(text: string): string {
  return text.replace(/[013457@$!]/g, (character) => disguises[character] ?? character);
}

function withoutSeparators(text: string): string {
  return text.replace(/[\s\p{P}\p{S}]+/gu, '');
}

function lengthOf(text: string): number {
  return [...text].length;
}
