import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** Head and body as received. */
  readonly source: string;
  /** The user that the client authenticated as. */
  readonly user: unknown;
}

export interface TestSmtpServer {
  readonly port: number;
  readonly received: readonly ReceivedMail[];
}

/** Creates a rejection by the mail server, with the code of the reply. */
export function smtpReply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}

/** Starts a real SMTP server on the loopback interface until the end of the test. By default it accepts everything, without TLS. */
export async function mustStartSmtpServer(
  t: Pick<TestContext, 'after'>,
  options: SMTPServerOptions = {},
): Promise<TestSmtpServer> {
  const received: ReceivedMail[] = [];
  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    disabledCommands: ['STARTTLS'],
    closeTimeout: 1,
    onData(stream, session, callback) {
      let source = '';
      stream.setEncoding('utf8').on('data', (text: string) => {
        source += text;
      });
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          source,
          user: session.user,
        });
        callback();
      });
    },
    ...options,
  });
  // Some tests disconnect the client in the middle of a mail.
  server.on('error', () => {});
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = address(server.server.address());
  t.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port, received };
}

function address(bound: AddressInfo | string | null): AddressInfo {
  if (bound === null || typeof bound === 'string') throw new Error('The server listens on no port.');
  return bound;
}
