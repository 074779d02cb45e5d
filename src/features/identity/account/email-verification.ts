import { hashOneTimeToken } from '../../../auth/one-time-token.ts';
import type { Sql } from '../../../db/sql.ts';
import type { AccountParts } from './account-parts.ts';
import type { Recipient } from './mails.ts';
import { assertMailEnabled, uselessToken } from './refusals.ts';
import { endTokens, findOwner, takeToken, verifyEmail } from './store.ts';

/** A user with the address as it is now. */
export interface MailUser extends Recipient {
  readonly id: number;
}

/** The address that a user had. */
export interface FormerAddress {
  readonly email: string;
  readonly email_verified: boolean;
}

export interface EmailVerification {
  /**
   * Mails a token to the user's address, after registering. Call it when the user is committed. It never throws, and
   * does nothing if no mail can be sent: the user can ask for it later.
   */
  sendVerification(user: MailUser): void;
  /** The same after a change of the address, of which the former one is told too if it was verified. */
  emailChanged(user: MailUser, former: FormerAddress): void;
  /** Ends all mailed tokens of a user who gets another address, in the transaction of that: they were for the former one. */
  endMailedTokens(tx: Sql, userId: number): Promise<void>;
  /** Mails a token again, unless the address is verified. Rejects with `mail_disabled` if no mail can be sent. */
  requestVerification(userId: number): Promise<void>;
  /** Notes that the user reads this mailbox. Rejects with `validation_failed` for a token that is not good. */
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
    log.error('mail.failed', { user_id: id, reason: 'Too many mails are being made.' });
  }

  return {
    sendVerification,

    endMailedTokens: (tx, userId) => endTokens(tx, userId),

    emailChanged(user, former) {
      // Nobody may fill a mailbox that is not shown to be theirs.
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
