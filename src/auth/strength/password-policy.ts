/**
 * The password policy, after NIST SP 800-63B, section 3.1.1.2, and OWASP ASVS 5.0, section 6.2: the length counts, and no
 * kind of character is required or forbidden. Passwords that attackers try first are rejected:
 *
 * - the most common passwords, also with replaced letters ("p@ssw0rd") or with up to four digits and signs around them
 * - sequences, repetitions and common words with a number, which have fewer than 28 bits by `text-bits.ts`
 * - passwords made of the names of the user or the name of the service. These names are removed, in any case and with any
 *   separators, before the length is measured: "ada_lovelace", "Lovelace-Ada1" and "4d4lovelace2026" are rejected, and
 *   "ada_lovelace knits socks" is accepted
 */

import { commonPasswords } from './common-passwords.ts';
import { unambiguousDisguises } from './disguised-letters.ts';
import { textBits } from './text-bits.ts';

/** The minimum and maximum number of characters (Unicode code points) of a password. */
export const passwordLength = { min: 8, max: 128 } as const;

/** The names that an attacker tries first for this account. */
export interface PasswordOwner {
  readonly username: string;
  readonly email: string;
  /** The name of the service; it adds no strength to a password that contains it. */
  readonly service?: string;
}

/** "abcdefghijklmnop" has 16 bits, "admin2026" 27, "football team" 33, and eight random letters and digits more than 40. */
const minBits = 28;

/** Shorter names occur in too many words by chance. */
const minNameLength = 3;

/** Returns why a new password is not accepted, as a sentence with the remedy; undefined if it is accepted. */
export function findPasswordError(password: string, owner: PasswordOwner): string | undefined {
  // Normalised as for hashing, so that the keyboard makes no difference.
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

/** Returns whether a password without these names is too short, or is a common password. */
function isMadeOf(names: readonly string[], lower: string): boolean {
  return [lower, plainLetters(lower)].some((text) => {
    const compact = withoutSeparators(text);
    const rest = names.reduce((left, name) => left.replaceAll(name, ''), compact);
    if (rest === compact) return false;
    // Separators count if other characters remain, as in a sentence.
    const length = lengthOf(rest) + (lengthOf(rest) > 0 ? lengthOf(text) - lengthOf(compact) : 0);
    return length < passwordLength.min || commonPasswords.has(rest) || /^\d*$/.test(rest);
  });
}

/** Returns the forbidden names, longest first, so that a whole name is removed before its parts. */
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

/** Replaces digits and signs by the letters that they usually represent. */
function plainLetters(text: string): string {
  return text.replace(/[013457@$!]/g, (character) => unambiguousDisguises[character] ?? character);
}

function withoutSeparators(text: string): string {
  return text.replace(/[\s\p{P}\p{S}]+/gu, '');
}

function lengthOf(text: string): number {
  return [...text].length;
}
