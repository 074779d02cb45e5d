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
 * Enqueues a welcome mail to a user, and returns its job, which belongs to the user. While that job has not finished, no
 * second one is created. Rejects with `not_found` for an unknown user or one that the caller may not act for, with
 * `mail_disabled`, and with database AppErrors.
 */
export type Welcome = (caller: Principal, id: number, beforeCommit?: BeforeCommit<Job>) => Promise<Job>;

export interface WelcomeOptions {
  readonly database: Database;
  readonly queue: Pick<Queue, 'enqueue'>;
  readonly mail: Pick<MailQueue, 'enabled'>;
  /** The name of the service. */
  readonly service: string;
}

export function createWelcome({ database, queue, mail, service }: WelcomeOptions): Welcome {
  return async function welcome(caller, id, beforeCommit) {
    if (!mail.enabled) {
      throw new AppError(
        'mail_disabled',
        'This server cannot send mail: ask its operator to set APP_SMTP_URL.',
      );
    }
    return database.transaction(async (tx) => {
      const user = mayActFor(caller, id) ? await lockUser(tx, id) : undefined;
      if (user === undefined) throw new AppError('not_found', `There is no user with the id ${id}.`);
      const message = {
        to: user.email,
        subject: `${service}: Welcome!`,
        body: `Hello ${user.username},\n\nwelcome to ${service}.\n\n${service}\n`,
      };
      const { job } = await queue.enqueue(tx, sendEmail, message, {
        uniqueKey: `welcome:${id}`,
        userId: id,
      });
      await beforeCommit?.(tx, job);
      return job;
    });
  };
}
