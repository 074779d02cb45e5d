import { join } from 'node:path';
import { createFileMailer } from '../../mail/file-mailer.ts';
import { createMailQueue, type MailQueue, noMail } from '../../mail/mail-queue.ts';
import type { Mailer } from '../../mail/mailer.ts';
import { createSmtpMailer } from '../../mail/smtp-mailer.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';

/** How long the process waits for queued mails to be sent when it stops. */
const graceMs = 3_000;

/**
 * Opens the mail queue. Mail goes to the mail server of the settings; without one, to files in local and test, and nowhere
 * in staging and production. `mailer` replaces that choice; null disables mail. Rejects with a StartError.
 */
export async function openMail(
  settings: Settings,
  log: Logger,
  lifecycle: Lifecycle,
  mailer?: Mailer | null,
): Promise<MailQueue> {
  const mailLog = log.named('mail');
  const transport = mailer === undefined ? await chooseMailer(settings, mailLog) : mailer;
  if (transport === null) return noMail;
  return lifecycle.open(
    'mail',
    async () => createMailQueue({ mailer: transport, log: mailLog }),
    (queue) => queue.stop(graceMs),
    graceMs + 1000,
  );
}

/** Creates the mailer of the settings, null if there is none; see `openMail`. Each thread that runs tasks creates its own. */
export async function chooseMailer({ application }: Settings, log: Logger): Promise<Mailer | null> {
  const { environment, smtpUrl, mailFrom, dataDir } = application;
  if (smtpUrl !== '') return createSmtpMailer({ url: smtpUrl, from: mailFrom, log });
  if (environment === 'staging' || environment === 'production') return null;
  return createFileMailer({ folder: join(dataDir, 'mail'), from: mailFrom, log });
}
