/**
 * Mails as jobs: the task `send_email` delivers one mail through the mailer. Unlike a mail in the queue in memory, such a
 * mail survives the process that requested it, is retried for some hours, and its sender can read its state. It is
 * delivered at least once: a process that is killed between the delivery and its record sends the mail again. The job
 * contains the address and the text until it is pruned.
 */

import * as z from 'zod';
import { email } from '../../http/body/fields.ts';
import { defineTask } from '../../jobs/task.ts';

/** One address, and plain text. */
const mail = z.strictObject({
  to: email,
  subject: z
    .string()
    .min(1, 'Give the mail a subject.')
    .max(200, 'Use at most 200 characters.')
    .regex(/^\P{Cc}*$/u, 'Remove the line breaks and other control characters.'),
  body: z.string().min(1, 'Give the mail a text.').max(100_000, 'Use at most 100,000 characters.'),
});

/** Its result is `{ status: 'sent', to }`. */
export const sendEmail = defineTask({
  name: 'send_email',
  payload: mail,
  queue: 'mails',
  maxAttempts: 14,
  backoff: { baseMs: 10_000, maxMs: 6 * 3_600_000 },
});
