import { mayActFor, type Principal } from '../../../auth/principal.ts';
import type { Database } from '../../../db/database.ts';
import type { BeforeCommit } from '../../../db/transaction.ts';
import { AppError } from '../../../errors.ts';
import type { Job } from '../../../jobs/job.ts';
import type { Queue } from '../../../jobs/queue.ts';
import type { MailQueue } from '../../../mail/mail-queue.ts';
import { sendEmail } from '../../mails/mails.ts';
import { lockUser } from './store.ts';

/**
 * Has a user welcomed by mail, and returns the job that does it, which is the user's. While that has not finished there
 * is no second one. Rejects with `not_found` for a user that there is not or that the caller may not act for, with
 * `mail_disabled`, and with the errors of the database.
 */
export type Welcome = (caller: Principal, id: number, beforeCommit?: BeforeCommit<Job>) => Promise<Job>;

export interface WelcomeOptions {
  readonly database: Database;
  readonly queue: Pick<Queue, 'enqueue'>;
  readonly mail: Pick<MailQueue, 'enabled'>;
  /** What the service calls itself. */
  readonly service: string;
}

export function createWelcome({ database, queue, mail, service }: WelcomeOptions): Welcome {
  return async function welcome(caller, id, beforeCommit) {
    if (!mail.enabled) {
      throw new AppError(
        'mail_disabled',
        'This server sends no mail: ask those who run it to set APP_SMTP_URL.',
      );
    }
    return database.transaction(async (tx) => {
      const user = mayActFor(caller, id) ? await lockUser(tx, id) : undefined;
      if (user === undefined) throw new AppError('not_found', `There is no user with the id ${id}.`);
      const letter = {
        to: user.email,
        subject: `${service}: Welcome!`,
        body: `Hello ${user.username},\n\nwelcome to ${service}.\n\n${service}\n`,
      };
      const { job } = await queue.enqueue(tx, sendEmail, letter, {
        uniqueKey: `welcome:${id}`,
        userId: id,
      });
      await beforeCommit?.(tx, job);
      return job;
    });
  };
}
