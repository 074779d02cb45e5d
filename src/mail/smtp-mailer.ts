/**
 * Sends mail by SMTP (RFC 5321), with the optional package `nodemailer`.
 *
 * Mail leaves this machine only over TLS with a valid certificate: `smtps` uses TLS from the first byte, `smtp` by STARTTLS.
 * If the server offers no TLS, the delivery fails, because an attacker who reads a reset token can take over the account.
 * On the loopback, mail is sent without TLS: no network is involved, and a local relay rarely has a certificate.
 *
 * Only a rejected recipient or text is a permanent failure. Errors before that, such as a wrong password or a rejected
 * sender, affect every mail (`isServerFailure`): the operator can fix them, and a later attempt can succeed.
 *
 * Each mail has its own connection: account mails are few, and an idle connection is one more thing that can break.
 */

import { needsPackage, StartError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { assertNoInjection, type Mail, MailError, type Mailer } from './mailer.ts';

export interface SmtpMailerOptions {
  /** `smtp://` or `smtps://`, optionally with a percent-encoded user name and password. */
  readonly url: string;
  /** The sender: `Name <address>`. */
  readonly from: string;
  readonly log: Logger;
  /** Timeout for each response of the server, in milliseconds. */
  readonly timeoutMs?: number;
}

/** Creates the mailer without opening a connection. Rejects with a StartError if the package is not installed. */
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
    // Prevents automatic replies, such as vacation notices (RFC 3834, section 5).
    headers: { 'Auto-Submitted': 'auto-generated' },
  };
}

/** Errors before any part of the mail was sent, so that their messages cannot repeat the mail. */
const connectionCodes = new Set(['ECONNECTION', 'EDNS', 'ESOCKET', 'ETIMEDOUT', 'ETLS']);

/** Commands at which the server rejects this mail instead of the sender. */
const mailCommands = new Set(['RCPT TO', 'DATA']);
/**
 * Replies to any command that are not about a mail: the server is closing (RFC 5321, section 3.8), and authentication is
 * required (RFC 4954, section 6).
 */
const serverReplies = new Set(['421', '530']);

/** Makes a MailError. The server's text may repeat the recipient or the mail, so only its codes are kept (RFC 3463). */
function explain(error: unknown): MailError {
  const { code, command, message, response } = factsOf(error);
  const status = /^(\d{3})(?:[ -](\d\.\d{1,3}\.\d{1,3})(?= ))?/.exec(response);
  if (status === null) {
    const why = connectionCodes.has(code) ? `: ${message} (${code}).` : ` (${code} at ${command}).`;
    return new MailError(`The mail server could not be used${why}`, {
      temporary: true,
      isServerFailure: true,
    });
  }
  const [, reply = '', enhanced] = status;
  const isServerFailure = serverReplies.has(reply) || !mailCommands.has(command);
  return new MailError(
    `The mail server answered ${reply}${enhanced === undefined ? '' : ` ${enhanced}`} at ${command}.`,
    { temporary: isServerFailure || !reply.startsWith('5'), isServerFailure },
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
