/**
 * Which passwords are taken, after NIST SP 800-63B, section 3.1.1.2: length is what counts, no kind of character is
 * asked for, none is forbidden, and what a guesser tries first is refused. That is the commonest passwords of all, and
 * the user's own names: they are taken out of the password before its length is measured, so that "ada_lovelace" is
 * none, "ada_lovelace1" neither, and "ada_lovelace knits socks" is one.
 */

import { commonPasswords } from './common-passwords.ts';

/** The fewest and the most characters (Unicode code points) of a password. */
export const passwordLength = { min: 8, max: 128 } as const;

/** Shorter names stand in too many words by chance. */
const shortestName = 3;

/** What is wrong with a new password, as a sentence that says what to do; undefined for nothing. */
export function passwordFault(
  password: string,
  { username, email }: { readonly username: string; readonly email: string },
): string | undefined {
  // As it is hashed: whatever keyboard it was typed on.
  const normalised = password.normalize('NFKC');
  const length = lengthOf(normalised);
  if (length < passwordLength.min) return `Use at least ${passwordLength.min} characters.`;
  if (length > passwordLength.max) return `Use at most ${passwordLength.max} characters.`;
  const lower = normalised.toLowerCase();
  if (commonPasswords.has(lower)) return 'Choose another password: many people use this one.';
  const mailbox = email.slice(0, email.lastIndexOf('@'));
  const rest = [email, mailbox, username]
    .map((name) => name.normalize('NFKC').toLowerCase())
    .filter((name) => name.length >= shortestName)
    .reduce((left, name) => left.replaceAll(name, ''), lower);
  if (lengthOf(rest) < passwordLength.min) {
    return `Choose another password: without your username and e-mail address it must still have ${passwordLength.min} characters.`;
  }
  return undefined;
}

function lengthOf(text: string): number {
  return [...text].length;
}
