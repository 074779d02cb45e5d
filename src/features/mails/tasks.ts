import { implementTask, type Task, TaskRejection } from '../../jobs/task.ts';
import { MailError, type Mailer } from '../../mail/mailer.ts';
import { sendEmail } from './mails.ts';

/**
 * The task `send_email`. Problems that can be fixed before the next attempt fail the attempt: a mail server that is
 * unavailable or rejects us, and a missing mail transport (null). A permanently rejected recipient or text refuses the
 * job, so that it is not retried.
 */
export function sendEmailTask(mailer: Pick<Mailer, 'send'> | null): Task {
  return implementTask(sendEmail, async ({ to, subject, body }) => {
    if (mailer === null) {
      throw new Error('Mail is not configured: set APP_SMTP_URL where jobs run.');
    }
    try {
      await mailer.send({ to, subject, text: body });
    } catch (error) {
      if (error instanceof MailError && !error.temporary) throw new TaskRejection(error.message);
      throw error;
    }
    return { status: 'sent', to };
  });
}
