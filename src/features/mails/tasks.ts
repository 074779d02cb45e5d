import { implementTask, type Task, TaskRejection, TaskSnooze } from '../../jobs/task.ts';
import { MailError, type Mailer } from '../../mail/mailer.ts';
import { sendEmail } from './mails.ts';

/** When a job runs again whose mail server failed, in milliseconds. */
const serverAwayMs = 60_000;

/**
 * The task `send_email`. While the mail server is unavailable or rejects us, the job runs again later, and the attempt does not
 * count. A mail that the server rejects temporarily, and a missing mail transport (null), fail the attempt. A permanently rejected
 * recipient or text refuses the job, so that it is not retried.
 */
export function sendEmailTask(mailer: Pick<Mailer, 'send'> | null): Task {
  return implementTask(sendEmail, async ({ to, subject, body }, { log }) => {
    if (mailer === null) {
      throw new Error('Mail is not configured: set APP_SMTP_URL where jobs run.');
    }
    try {
      await mailer.send({ to, subject, text: body });
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      if (!error.temporary) throw new TaskRejection(error.message);
      if (!error.isServerFailure) throw error;
      log.warning('mail.deferred', { email: to, reason: error.message });
      throw new TaskSnooze(serverAwayMs, error.message);
    }
    return { status: 'sent', to };
  });
}
