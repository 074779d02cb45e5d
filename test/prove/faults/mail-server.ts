import type { TestContext } from 'node:test';
import { mustStartSmtpServer, smtpReply } from '../../helpers/smtp-server.ts';

export interface ProofMailServer {
  readonly port: number;
  /** Rejects each connection from now on, or accepts them again. */
  setRejecting(isRejecting: boolean): void;
  /** The number of mails that have arrived. */
  received(): number;
}

export async function startProofMailServer(atEnd: Pick<TestContext, 'after'>): Promise<ProofMailServer> {
  let isRejecting = false;
  const server = await mustStartSmtpServer(atEnd, {
    onConnect: (_session, callback) => (isRejecting ? callback(smtpReply(421, '4.3.2 closing')) : callback()),
  });
  return {
    port: server.port,
    setRejecting(next) {
      isRejecting = next;
    },
    received: () => server.received.length,
  };
}
