import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../observability/logger.ts';
import { assertNoInjection, type Mailer } from './mailer.ts';

export interface FileMailerOptions {
  /** The folder for the mails. The first mail creates it. */
  readonly folder: string;
  readonly from: string;
  readonly log: Logger;
}

/**
 * Creates a mailer for development: each mail becomes a text file, and a log line names the file. The text is not logged,
 * because a mail may contain a token that signs a user in, and logs are kept and shared.
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
