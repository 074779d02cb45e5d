/**
 * Mail: short plain texts to one person, about their account. Three parts:
 *
 *     a feature ──post──> queue ──send──> mailer ──> a file (local and test), or a mail server
 *
 * A feature posts and goes on; the queue (`mail-queue.ts`) sends in the background and tries again; a mailer is one way
 * for a mail to leave, and knows neither requests nor retries. What it is not: no HTML, no attachments, no lists. What
 * is in the queue lives in memory, and is lost with the process.
 */

export interface Mail {
  /** The address of one recipient. */
  readonly to: string;
  readonly subject: string;
  /** Plain text. It may hold a one-time token, so it never stands in a log line. */
  readonly text: string;
}

export interface Mailer {
  /** Hands one mail over. Rejects with a MailError if that failed. */
  send(mail: Mail): Promise<void>;
  close(): Promise<void>;
}

/** A mail did not leave. The message says why, without the recipient and without anything of the mail. */
export class MailError extends Error {
  /** Whether it may leave at another try. */
  readonly temporary: boolean;

  constructor(message: string, { temporary }: { readonly temporary: boolean }) {
    super(message);
    this.name = 'MailError';
    this.temporary = temporary;
  }
}

/**
 * Refuses what would become a second header field or a second recipient: whoever chose their own address must not write
 * mail in our name. Throws a MailError.
 */
export function assertNoInjection({ to, subject }: Mail): void {
  if (!/^[^\s\p{Cc}<>,;:"()[\]\\@]+@[^\s\p{Cc}<>,;:"()[\]\\@]+$/u.test(to) || to.length > 254) {
    throw new MailError('The recipient is not one plain address.', { temporary: false });
  }
  if (/\p{Cc}/u.test(subject)) {
    throw new MailError('The subject has control characters.', { temporary: false });
  }
}
