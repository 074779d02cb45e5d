import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { freePort } from '../ports.ts';

/** A service that the program calls. */
export interface ProofService {
  readonly port: number;
  /** A hanging service accepts requests and answers nothing. */
  set(state: 'answering' | 'hanging'): void;
  close(): void;
  open(): Promise<void>;
}

export async function startProofService(): Promise<ProofService> {
  const port = await freePort();
  let isHanging = false;
  let server: Server;
  async function open(): Promise<void> {
    server = createServer((_request, response) => {
      // Each call resolves the name of the service.
      response.setHeader('connection', 'close');
      if (!isHanging) response.end('{}');
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  }
  await open();
  return {
    port,
    open,
    set(state) {
      isHanging = state === 'hanging';
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
