import type { Feature } from '../feature.ts';
import { sendEmail } from './mails.ts';
import { sendEmailTask } from './tasks.ts';

/** Mails as jobs, for the other features. */
export const mails = {
  name: 'mails',
  tasks: [{ definition: sendEmail, create: ({ mailer }) => sendEmailTask(mailer) }],
} satisfies Feature;
