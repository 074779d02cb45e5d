/**
 * Mail: short plain texts to one person about their account. It has three parts:
 *
 *     a feature ──post──> queue ──send──> mailer ──> a file (local and test), or a mail server
 *
 * A feature posts a mail and continues. The queue (`mail-queue.ts`) sends it in the background and retries. A mailer is a
 * transport: it delivers one mail and knows neither requests nor retries. Limits: no HTML, no attachments, no mailing
 * lists. Queued mails are in memory and are lost with the process.
 */

export interface Mail {
  /** The address of the only recipient. */
  readonly to: string;
  readonly subject: string;
  /** Plain text. It may contain a one-time token, so it is never logged. */
  readonly text: string;
}

export interface Mailer {
  /** Delivers one mail. Rejects with a MailError if that fails. */
  send(mail: Mail): Promise<void>;
  close(): Promise<void>;
}

/** A failed delivery. The message has the reason, but nothing of the mail and not its recipient. */
export class MailError extends Error {
  /** Whether another attempt may succeed. */
  readonly temporary: boolean;
  /** Whether the server failed, or rejected us, so that every other mail would fail too. Such a failure is temporary. */
  readonly isServerFailure: boolean;

  constructor(
    message: string,
    {
      temporary,
      isServerFailure = false,
    }: { readonly temporary: boolean; readonly isServerFailure?: boolean },
  ) {
    super(message);
    this.name = 'MailError';
    this.temporary = temporary;
    this.isServerFailure = isServerFailure;
  }
}

/**
 * Throws a MailError if the recipient or the subject would add a header field or a recipient: a user who chooses an
 * address must not be able to send mail in our name.
 */
export function assertNoInjection({ to, subject }: Mail): void {
  if (!/^[^\s\p{Cc}<>,;:"()[\]\\@]+@[^\s\p{Cc}<>,;:"()[\]\\@]+$/u.test(to) || to.length > 254) {
    throw new MailError('The recipient is not a single plain address.', { temporary: false });
  }
  if (/\p{Cc}/u.test(subject)) {
    throw new MailError('The subject contains control characters.', { temporary: false });
  }
}
