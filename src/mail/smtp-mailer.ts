/**
 * Mail by SMTP (RFC 5321), with the optional package `nodemailer`.
 *
 * To another machine only over TLS with a certificate that holds: `smtps` from the first byte, `smtp` by STARTTLS, and
 * not at all where the server offers none, for a reset token that is read on the way is an account taken over. On the
 * loopback there is nobody on the way, and a local relay rarely has a certificate: there it is plain.
 *
 * Only a refusal of the recipient or of the text is for good. What is refused before, such as our password or our
 * address, is refused to every mail alike: the operator can mend it, and the mail leaves at a later try.
 *
 * One connection a mail: account mails are few, and an idle connection is one more thing that can break.
 */

import { needsPackage, StartError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { assertNoInjection, type Mail, MailError, type Mailer } from './mailer.ts';

export interface SmtpMailerOptions {
  /** `smtp://` or `smtps://`, perhaps with user name and password, percent-encoded. */
  readonly url: string;
  /** Whom mails are from: `Name <address>`. */
  readonly from: string;
  readonly log: Logger;
  /** How long the server may be silent at any point, in milliseconds. */
  readonly timeoutMs?: number;
}

/** Makes the mailer; no connection is opened yet. Rejects with a StartError if the package is not installed. */
export async function createSmtpMailer({
  url,
  from,
  log,
  timeoutMs = 15_000,
}: SmtpMailerOptions): Promise<Mailer> {
  const { createTransport } = await loadPackage();
  const transport = createTransport({
    ...connectionOptions(new URL(url)),
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    dnsTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send(mail) {
      assertNoInjection(mail);
      const { messageId } = await transport.sendMail(compose(mail, from)).catch((error: unknown) => {
        throw explain(error);
      });
      log.info('mail.delivered', { email: mail.to, message_id: messageId });
    },
    async close() {
      transport.close();
    },
  };
}

async function loadPackage() {
  try {
    return await import('nodemailer');
  } catch (cause) {
    throw new StartError(`APP_SMTP_URL ${needsPackage('nodemailer', cause)}, or remove the setting.`, {
      cause,
    });
  }
}

function connectionOptions({ protocol, hostname, port, username, password }: URL) {
  const secure = protocol === 'smtps:';
  const host = hostname.replace(/^\[|\]$/g, '');
  const loopback = /^(?:localhost|127(?:\.\d+){3}|::1)$/i.test(host);
  const user = decodeURIComponent(username);
  return {
    host,
    port: Number(port) || (secure ? 465 : 587),
    secure,
    requireTLS: !secure && !loopback,
    ignoreTLS: !secure && loopback,
    ...(user === '' ? {} : { auth: { user, pass: decodeURIComponent(password) } }),
  };
}

function compose({ to, subject, text }: Mail, from: string) {
  return {
    from,
    to: { name: '', address: to },
    subject,
    text,
    // Tells programs that answer mail, such as vacation notices, not to (RFC 3834, section 5).
    headers: { 'Auto-Submitted': 'auto-generated' },
  };
}

/** What happens before the server has heard of the mail, so that the error cannot repeat anything of it. */
const connectionCodes = new Set(['ECONNECTION', 'EDNS', 'ESOCKET', 'ETIMEDOUT', 'ETLS']);

/** What is refused at these is this mail, and not whoever sends it. */
const mailCommands = new Set(['RCPT TO', 'DATA']);
/** Authentication is required, which servers may say at any command (RFC 4954, section 6). */
const authenticateFirst = '530';

/** The server's own words may repeat the recipient, or the mail: of them, only the codes are kept (RFC 3463). */
function explain(error: unknown): MailError {
  const { code, command, message, response } = factsOf(error);
  const status = /^(\d{3})(?:[ -](\d\.\d{1,3}\.\d{1,3})(?= ))?/.exec(response);
  if (status === null) {
    const why = connectionCodes.has(code) ? `: ${message} (${code}).` : ` (${code} at ${command}).`;
    return new MailError(`The mail server could not be used${why}`, { temporary: true });
  }
  const [, reply = '', enhanced] = status;
  return new MailError(
    `The mail server answered ${reply}${enhanced === undefined ? '' : ` ${enhanced}`} at ${command}.`,
    { temporary: !reply.startsWith('5') || reply === authenticateFirst || !mailCommands.has(command) },
  );
}

function factsOf(error: unknown) {
  const fact = (name: string): string => {
    const value: unknown = error instanceof Error ? Reflect.get(error, name) : undefined;
    return typeof value === 'string' ? value : '';
  };
  return {
    code: fact('code') || 'no code',
    command: fact('command') || 'an unknown step',
    message: fact('message'),
    response: fact('response'),
  };
}
