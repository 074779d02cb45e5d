/**
 * Password and mailbox operations of users on their own account:
 *
 *     change the password     needs the current one                  ends all sessions and opens a new one
 *     reset the password      needs a token mailed to the account's  ends all sessions and API keys, and verifies the
 *                             address                                address
 *     verify the address      needs a token mailed to it             after registration and after a change of address
 *
 * A mailed token (`auth/one-time-token.ts`) has one purpose and one address, and works once:
 *
 *     live --used--> ended            in one statement: of two concurrent uses, one succeeds
 *     live --another token was used, the password was changed, or the user has another address--> ended
 *     live --an hour (reset) or a day (verification) has passed--> expired
 *
 * These states are final: a user who changes back to a former address cannot use the tokens that were mailed to it then. A
 * change of the address and a reset end all tokens; a change of the password ends the reset tokens.
 *
 * A reset request does not reveal whether an account exists: it gets the same response in every case, before the account is
 * looked up. The token is made and mailed in the background (`background.ts`).
 *
 * Anyone can register with any address, so an address receives few mails: three tokens per purpose and hour, whichever
 * accounts have the address meanwhile, and notices about an account only after it was verified.
 *
 * Every transaction here and every login locks in the same order: the user, one address, tokens, sessions, API keys. This
 * prevents deadlocks, and a session that is being opened with the old password is either ended or not opened.
 */

import type { AccountOptions, AccountParts } from './account-parts.ts';
import { createBackground } from './background.ts';
import { type ChangePassword, createChangePassword } from './change-password.ts';
import { createEmailVerification, type EmailVerification } from './email-verification.ts';
import { createMailToken } from './mail-token.ts';
import { createMails } from './mails.ts';
import { createPasswordReset, type PasswordReset } from './password-reset.ts';

/** Every async method can also reject with a database AppError. */
export interface Account extends PasswordReset, EmailVerification {
  readonly changePassword: ChangePassword;
}

export function createAccount(options: AccountOptions): Account {
  const mails = createMails(options);
  const parts: AccountParts = {
    ...options,
    mails,
    mailToken: createMailToken({ ...options, mails }),
    inBackground: createBackground(options),
    inBackgroundOfRegistration: createBackground(options),
  };
  return {
    changePassword: createChangePassword(parts),
    ...createPasswordReset(parts),
    ...createEmailVerification(parts),
  };
}
