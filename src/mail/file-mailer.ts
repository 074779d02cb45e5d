import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../observability/logger.ts';
import { assertNoInjection, type Mailer } from './mailer.ts';

export interface FileMailerOptions {
  /** The folder for the mails, made when the first one is sent. */
  readonly folder: string;
  readonly from: string;
  readonly log: Logger;
}

/**
 * For a developer's machine: each mail becomes a text file, and a log line says which. The line does not have the text
 * itself, since a mail may hold a token that signs somebody in, and logs are kept and passed on.
 */
export function createFileMailer({ folder, from, log }: FileMailerOptions): Mailer {
  return {
    async send(mail) {
      assertNoInjection(mail);
      const time = new Date();
      const name = `${time.toISOString().replaceAll(':', '-')}-${randomBytes(3).toString('hex')}.txt`;
      const file = join(folder, name);
      const head = [
        `Date: ${time.toUTCString()}`,
        `From: ${from}`,
        `To: ${mail.to}`,
        `Subject: ${mail.subject}`,
      ];
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(file, `${head.join('\n')}\n\n${mail.text}\n`, { mode: 0o600, flag: 'wx' });
      log.info('mail.delivered', { email: mail.to, file });
    },
    async close() {},
  };
}
