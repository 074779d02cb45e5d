import { implementTask, type Task, TaskRefusal } from '../../jobs/task.ts';
import { MailError, type Mailer } from '../../mail/mailer.ts';
import { sendEmail } from './mails.ts';

/**
 * The task `send_email`, over the way by which mails leave. What may be mended before the next attempt fails this one: a
 * mail server that is away or takes nothing from us, and no way at all (null). What the mail server refuses for good of
 * the recipient or the text is refused for good.
 */
export function sendEmailTask(mailer: Pick<Mailer, 'send'> | null): Task {
  return implementTask(sendEmail, async ({ to, subject, body }) => {
    if (mailer === null) {
      throw new Error('There is no way for mail to leave: set APP_SMTP_URL where jobs run.');
    }
    try {
      await mailer.send({ to, subject, text: body });
    } catch (error) {
      if (error instanceof MailError && !error.temporary) throw new TaskRefusal(error.message);
      throw error;
    }
    return { status: 'sent', to };
  });
}
