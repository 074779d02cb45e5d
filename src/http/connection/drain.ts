/**
 * Draining: how a server stops without losing a request.
 *
 *     listening --drain()--> lingering --idle for lingerMs--> closed
 *                               |  a request arrives: the response has `Connection: close`
 *                               '--graceMs passed--> forcibly closed
 *
 * A client may send a request at the moment when its idle connection is closed. It then gets no response, and for a POST it
 * cannot know whether the request was carried out (RFC 9112, section 9.5). So idle connections are not closed immediately: a
 * request on one of them still gets a response, and `Connection: close` makes the client connect again, to another process. A
 * connection without a request is closed after `lingerMs`. If `lingerMs` is at least the keep-alive timeout, no connection is
 * closed earlier than its client was promised, and the drain takes that long. A program that stops permanently has no successor
 * to connect to and should use a short time.
 *
 * `Server.close` of node:http is not used, because it closes idle connections immediately and stops the timer that enforces the
 * deadlines for headers and bodies, so that a silent connection would delay the stop until the grace period is over.
 * `Server.close` of node:net, which it calls, does neither.
 */

import type { Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';

export interface DrainOptions {
  /** How long the drain may take, in milliseconds. Then the remaining connections are closed. */
  readonly graceMs: number;
  /** How long an idle connection stays open, in milliseconds; at most the keep-alive timeout. Default 0. */
  readonly lingerMs?: number;
}

/**
 * Stops accepting connections and resolves when all `connections` are closed. From now on the caller must send
 * `Connection: close` with every response. `onGraceOver` is called before the remaining connections are closed.
 */
export async function drain(
  server: Server,
  connections: ReadonlySet<Socket>,
  { graceMs, lingerMs = 0 }: DrainOptions,
  onGraceOver: () => void,
): Promise<void> {
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
  const grace = setTimeout(() => {
    onGraceOver();
    server.closeAllConnections();
  }, graceMs);
  let linger: NodeJS.Timeout | undefined;
  if (lingerMs < server.keepAliveTimeout) {
    // For connections whose current response has no `Connection: close`. 0 would mean "never".
    server.keepAliveTimeout = Math.max(1, lingerMs);
    linger = setTimeout(() => {
      server.closeIdleConnections();
      // For Node a connection is idle only after its first request.
      for (const connection of connections) if (connection.bytesRead === 0) connection.destroy();
    }, lingerMs);
  }
  await closed;
  clearTimeout(grace);
  clearTimeout(linger);
  // Stops the timer of the deadlines, now that no connection is left.
  server.close();
}
