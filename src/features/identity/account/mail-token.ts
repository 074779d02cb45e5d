import { createOneTimeToken } from '../../../auth/one-time-token.ts';
import type { Database } from '../../../db/database.ts';
import type { MailQueue } from '../../../mail/mail-queue.ts';
import type { Mails } from './mails.ts';
import { countTokens, insertToken, lockAddress, lockOwner, type Purpose } from './store.ts';

/**
 * Makes a token for a user and mails it. False if the user is gone, or the address was sent enough for now: anybody can
 * register with an address and ask for mails to it, and nobody's mailbox is to be filled by them.
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
      // Under the lock of the user the address is the one that the token belongs to; under its own, the count is exact.
      const locked = await lockOwner(tx, userId);
      if (locked === undefined) return undefined;
      await lockAddress(tx, locked.email);
      if ((await countTokens(tx, locked.email, purpose)) >= maxPerHour) return undefined;
      await insertToken(tx, { hash, userId, purpose, email: locked.email });
      return locked;
    });
    if (owner === undefined) return false;
    // Anybody can register with any address, so mails to those must not displace the others.
    mail.post(mails.token(purpose, owner, token), purpose === 'password_reset' ? 'account' : 'unconfirmed');
    return true;
  };
}
