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

import type { PasswordHasher } from '../../../auth/password.ts';
import type { Database } from '../../../db/database.ts';
import type { MailQueue } from '../../../mail/mail-queue.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { ApiKeys } from '../api-keys/api-keys.ts';
import type { Attempts } from '../attempts/attempts.ts';
import type { Auth } from '../auth/auth.ts';
import { createBackground, type InBackground } from './background.ts';
import { type ChangePassword, createChangePassword } from './change-password.ts';
import { createEmailVerification, type EmailVerification } from './email-verification.ts';
import { createMailToken, type MailToken } from './mail-token.ts';
import { createMails, type Mails, type MailsOptions } from './mails.ts';
import { createPasswordReset, type PasswordReset } from './password-reset.ts';

/** What returns a promise rejects with the AppErrors of the database too. */
export interface Account extends PasswordReset, EmailVerification {
  readonly changePassword: ChangePassword;
}

export interface AccountOptions extends MailsOptions {
  readonly database: Database;
  readonly passwords: PasswordHasher;
  readonly attempts: Attempts;
  readonly auth: Pick<Auth, 'endUserSessions' | 'renewSession' | 'requireAuthority'>;
  readonly apiKeys: Pick<ApiKeys, 'revokeAll'>;
  readonly mail: MailQueue;
  readonly log: Logger;
}

/** The options with what is made of them, for the parts of the account. */
export interface AccountParts extends AccountOptions {
  readonly mails: Mails;
  readonly mailToken: MailToken;
  /** For mails that somebody with an account asked for; registrations have a background of their own. */
  readonly inBackground: InBackground;
  readonly inBackgroundOfRegistration: InBackground;
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
