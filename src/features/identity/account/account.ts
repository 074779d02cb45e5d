/**
 * What users do with their own account when a password or a mailbox is in question:
 *
 *     change the password     with the current one                          all sessions end, a new one is opened
 *     reset the password      with a token mailed to the account's address  all sessions and API keys end, the address is
 *                                                                       verified
 *     verify the address      with a token mailed to it                     after registering, and after a change of it
 *
 * A mailed token (`auth/one-time-token.ts`) is for one purpose, for one address, and for one use:
 *
 *     live --used--> ended            one statement makes the step: of two uses at the same instant one finds it live
 *     live --another was used, the password was changed, or the user has another address--> ended
 *     live --an hour (reset) or a day (verification) has passed--> opens nothing
 *
 * What has ended stays so: a user who takes a former address back gets none of the tokens that were mailed to it then. A
 * change of the address ends all tokens, a reset too, and a change of the password those for a reset.
 *
 * Nobody learns from a request for a reset whether an account exists: it is answered before the account is looked for,
 * always in the same words. The token is made and mailed in the background (`background.ts`).
 *
 * An address is written to only as much as its reader wants, for anybody can register with any address: three tokens of
 * a purpose an hour, whichever accounts have it meanwhile, and news of an account only once it was verified.
 *
 * Every transaction here locks the user first, then one address, tokens, sessions, and API keys, and a login does too.
 * So none waits for another in a circle, and a session that is being made with the old password is ended, or is not made.
 */

import type { AccountOptions, AccountParts } from './account-parts.ts';
import { createBackground } from './background.ts';
import { type ChangePassword, createChangePassword } from './change-password.ts';
import { createEmailVerification, type EmailVerification } from './email-verification.ts';
import { createMailToken } from './mail-token.ts';
import { createMails } from './mails.ts';
import { createPasswordReset, type PasswordReset } from './password-reset.ts';

/** What returns a promise rejects with the AppErrors of the database too. */
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
