import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { After } from './test-database.ts';

export interface PostgresProxy {
  /** The URL that leads through it. */
  readonly url: string;
  /** Statements that were sent through it so far. */
  statements(): number;
  /** Cuts the connection of the next statement whose text has this, when PostgreSQL has done it and answers. */
  cutAnswerOf(text: string): void;
  /** Resets every connection of a client, as a firewall or a machine that starts again does. */
  reset(): void;
  /** Drops what present connections carry from now on, in both directions, and leaves them open. New ones work. */
  stall(): void;
  /** Drops what every connection carries, also what new ones do, until `unblock`. Those of before stay stalled. */
  block(): void;
  unblock(): void;
}

export interface ProxyOptions {
  /** Announces another backend than the one that serves the connection, as every pooler does. */
  readonly announcesOther?: boolean;
}

/** Stands between a client and PostgreSQL: counts, and breaks what a test wants broken. Ends with the test. */
export async function mustOpenProxy(
  t: After,
  url: string,
  { announcesOther = false }: ProxyOptions = {},
): Promise<PostgresProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const clients = new Set<Socket>();
  let statements = 0;
  let toCut: string | undefined;
  let isBlocked = false;
  const stalled = new WeakSet<Socket>();

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    // The client describes a statement first, which is one answer, and then has it done, which is the next.
    let answersToCut = 0;
    const close = () => {
      client.destroy();
      upstream.destroy();
    };
    clients.add(client);
    if (isBlocked) stalled.add(client);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // What is stalled does not hear of the end of the other side either.
      const end = () => (stalled.has(client) ? socket.destroy() : close());
      socket.on('error', end).on('close', end);
      socket.setNoDelay(true);
    }
    client.on('data', (chunk: Buffer) => {
      if (stalled.has(client)) return;
      if (toCut !== undefined && chunk.includes(toCut)) {
        toCut = undefined;
        answersToCut = 2;
      }
      statements += countSyncs(chunk);
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (stalled.has(client)) return;
      if (answersToCut > 0) answersToCut -= 1;
      if (answersToCut === 0 && cutting.has(client)) return close();
      if (answersToCut === 1) cutting.add(client);
      if (announcesOther) announceOther(chunk);
      client.write(chunk);
    });
  });
  const cutting = new WeakSet<Socket>();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const through = new URL(url);
  if (address === null || typeof address === 'string') throw new Error('The proxy has no port.');
  through.host = `127.0.0.1:${address.port}`;
  return {
    url: through.href,
    statements: () => statements,
    cutAnswerOf(text) {
      toCut = text;
    },
    stall() {
      for (const client of clients) stalled.add(client);
    },
    block() {
      isBlocked = true;
      for (const client of clients) stalled.add(client);
    },
    unblock() {
      isBlocked = false;
    },
    reset() {
      for (const client of clients) client.resetAndDestroy();
      clients.clear();
    },
  };
}

/** How many statements end in a chunk: each with a Sync, or it is a simple query. */
function countSyncs(chunk: Buffer): number {
  let count = 0;
  for (let at = 0; at + 5 <= chunk.length; at += 1 + Math.max(4, chunk.readUInt32BE(at + 1))) {
    if (chunk[at] === 0x53 || chunk[at] === 0x51) count += 1;
  }
  return count;
}

/** Changes the number in BackendKeyData, if the chunk has one. */
function announceOther(chunk: Buffer): void {
  const at = chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
  if (at >= 0) chunk.writeInt32BE(chunk.readInt32BE(at + 5) + 1, at + 5);
}
