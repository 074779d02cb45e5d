import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type After, beforeDrop } from './test-database.ts';

export interface PostgresProxy {
  /** The URL of the proxy. */
  readonly url: string;
  /** Statements that were sent through it so far. */
  statements(): number;
  /** Cuts the connection of the next statement that contains the text, when PostgreSQL has run it and responds. */
  cutAnswerOf(text: string): void;
  /** Resets every connection of a client, as a firewall or a rebooting machine does. */
  reset(): void;
  /** From now on drops the bytes of present connections in both directions, and leaves them open. New ones work. */
  stall(): void;
  /** Drops the bytes of all connections, also of new ones, until `unblock`. Connections from before remain stalled. */
  block(): void;
  unblock(): void;
  /** Delays the bytes of clients: those of present and new connections arrive when `release` is called. */
  hold(): void;
  release(): void;
  /** The connections of clients that were opened so far. */
  connections(): number;
  /** The connections of clients that the client has reset. */
  resets(): number;
}

export interface ProxyOptions {
  /** Announces another backend than the one that serves the connection, as every pooler does. */
  readonly announcesOther?: boolean;
}

/**
 * A proxy between a client and PostgreSQL: it counts statements and breaks connections on demand. Ends with the test.
 */
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
  let isHolding = false;
  let connections = 0;
  let resets = 0;
  const stalled = new WeakSet<Socket>();

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    // The client first describes a statement, which gets one response, and then executes it, which gets the next.
    let answersToCut = 0;
    const close = () => {
      client.destroy();
      upstream.destroy();
    };
    clients.add(client);
    connections += 1;
    if (isBlocked) stalled.add(client);
    if (isHolding) client.pause();
    client.on('error', (error) => {
      if ('code' in error && error.code === 'ECONNRESET') resets += 1;
    });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A stalled connection does not learn of the end of the other side either.
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
  const closeAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  beforeDrop(url, closeAll);
  t.after(async () => {
    closeAll();
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
    hold() {
      isHolding = true;
      for (const client of clients) client.pause();
    },
    release() {
      isHolding = false;
      for (const client of clients) client.resume();
    },
    connections: () => connections,
    resets: () => resets,
    reset() {
      for (const client of clients) client.resetAndDestroy();
      clients.clear();
    },
  };
}

/** Returns how many statements end in a chunk: each has a Sync, or is a simple query. */
function countSyncs(chunk: Buffer): number {
  let count = 0;
  for (let at = 0; at + 5 <= chunk.length; at += 1 + Math.max(4, chunk.readUInt32BE(at + 1))) {
    if (chunk[at] === 0x53 || chunk[at] === 0x51) count += 1;
  }
  return count;
}

/** Changes the process id in BackendKeyData, if the chunk contains one. */
function announceOther(chunk: Buffer): void {
  const at = chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
  if (at >= 0) chunk.writeInt32BE(chunk.readInt32BE(at + 5) + 1, at + 5);
}
