import { createOneTimeToken } from '../../../auth/one-time-token.ts';
import type { Database } from '../../../db/database.ts';
import type { MailQueue } from '../../../mail/mail-queue.ts';
import type { Mails } from './mails.ts';
import { countTokens, insertToken, lockAddress, lockOwner, type Purpose } from './store.ts';

/**
 * Makes a token for a user and mails it. Resolves with false if the user was deleted, or if the address has received the
 * maximum: anyone can register with any address and request mails to it, and must not be able to flood the mailbox.
 */
export type MailToken = (userId: number, purpose: Purpose) => Promise<boolean>;

const maxPerHour = 3;

export function createMailToken({
  database,
  mail,
  mails,
}: {
  readonly database: Database;
  readonly mail: MailQueue;
  readonly mails: Mails;
}): MailToken {
  return async function mailToken(userId, purpose) {
    const { token, hash } = createOneTimeToken();
    const owner = await database.transaction(async (tx) => {
      // The lock of the user keeps the address unchanged, and the lock of the address makes the count exact.
      const locked = await lockOwner(tx, userId);
      if (locked === undefined) return undefined;
      await lockAddress(tx, locked.email);
      if ((await countTokens(tx, locked.email, purpose)) >= maxPerHour) return undefined;
      await insertToken(tx, { hash, userId, purpose, email: locked.email });
      return locked;
    });
    if (owner === undefined) return false;
    // Anyone can register with any address, so mails to unverified addresses must not displace the others.
    mail.post(mails.token(purpose, owner, token), purpose === 'password_reset' ? 'account' : 'unconfirmed');
    return true;
  };
}
