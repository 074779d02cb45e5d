import { hashOneTimeToken } from '../../../auth/one-time-token.ts';
import type { Sql } from '../../../db/sql.ts';
import { assertMailEnabled, uselessToken } from './account-errors.ts';
import type { AccountParts } from './account-parts.ts';
import type { Recipient } from './mails.ts';
import { endTokens, findOwner, takeToken, verifyEmail } from './store.ts';

/** A user with the current address. */
export interface MailUser extends Recipient {
  readonly id: number;
}

/** The previous address of a user. */
export interface FormerAddress {
  readonly email: string;
  readonly email_verified: boolean;
}

export interface EmailVerification {
  /**
   * Mails a token to the address of a new user. Call it after the user was committed. It never throws, and does nothing
   * if mail is disabled: the user can request the mail later.
   */
  sendVerification(user: MailUser): void;
  /** Mails a token to a changed address, and a notice to the previous one if it was verified. */
  emailChanged(user: MailUser, former: FormerAddress): void;
  /** Ends all mailed tokens of a user, in the transaction that changes the address, because they were for the previous one. */
  endMailedTokens(tx: Sql, userId: number): Promise<void>;
  /** Mails another token, unless the address is verified. Rejects with `mail_disabled` if mail is disabled. */
  requestVerification(userId: number): Promise<void>;
  /** Marks the address as verified. Rejects with `validation_failed` for an invalid token. */
  confirmVerification(token: string): Promise<void>;
}

const purpose = 'email_verification';

export function createEmailVerification(parts: AccountParts): EmailVerification {
  const { database, mail, mails, mailToken, inBackgroundOfRegistration, log } = parts;

  async function send(userId: number): Promise<void> {
    const mailed = await mailToken(userId, purpose);
    log.info('auth.email.verification_requested', { user_id: userId, mailed });
  }

  function sendVerification({ id }: MailUser): void {
    if (!mail.enabled || inBackgroundOfRegistration(() => send(id))) return;
    log.error('mail.failed', { user_id: id, reason: 'Too many mails are being prepared.' });
  }

  return {
    sendVerification,

    endMailedTokens: (tx, userId) => endTokens(tx, userId),

    emailChanged(user, former) {
      // An unverified address may belong to another person, who must not get mails about this account.
      if (former.email_verified) mail.post(mails.emailChanged(user, former.email));
      sendVerification(user);
    },

    async requestVerification(userId) {
      assertMailEnabled(mail);
      const owner = await findOwner(database.sql, userId);
      if (owner !== undefined && !owner.verified) await send(userId);
    },

    async confirmVerification(token) {
      const tokenHash = hashOneTimeToken(token);
      if (tokenHash === undefined) throw uselessToken();
      const userId = await database.transaction(async (tx) => {
        const owner = await takeToken(tx, tokenHash, purpose);
        if (owner === undefined) throw uselessToken();
        await verifyEmail(tx, owner.id);
        await endTokens(tx, owner.id, purpose);
        return owner.id;
      });
      log.info('auth.email.verified', { user_id: userId });
    },
  };
}
