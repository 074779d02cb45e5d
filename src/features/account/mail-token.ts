import { createOneTimeToken } from '../../auth/one-time-token.ts';
import type { Database } from '../../db/database.ts';
import type { MailQueue } from '../../mail/mail-queue.ts';
import type { Mails } from './mails.ts';
import { countTokens, insertToken, lockOwner, type Purpose } from './store.ts';

/**
 * Makes a token for a user and mails it. False if the user is gone, or was sent enough for now: strangers can ask for
 * mails, and nobody's mailbox is to be filled by them.
 */
export type MailToken = (userId: number, purpose: Purpose) => Promise<boolean>;

const mostAnHour = 3;

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
      // Under the lock of the user the count is exact, and the address is the one that the token belongs to.
      const locked = await lockOwner(tx, userId);
      if (locked === undefined || (await countTokens(tx, userId, purpose)) >= mostAnHour) return undefined;
      await insertToken(tx, { hash, userId, purpose, email: locked.email });
      return locked;
    });
    if (owner === undefined) return false;
    mail.post(mails.token(purpose, owner, token));
    return true;
  };
}
