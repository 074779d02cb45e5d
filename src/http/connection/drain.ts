/**
 * Draining: how a server ends without losing a request.
 *
 *     listening --drain()--> lingering --idle for lingerMs--> ended
 *                               |  a request comes: it is answered, with `Connection: close`
 *                               '--graceMs are over--> cut
 *
 * A client may be sending at the very moment in which its idle connection is closed. It then has no answer, and for
 * a POST no way to know whether it was done (RFC 9112, section 9.5). So idle connections are not closed but linger: a
 * request that comes on one is still answered, and that answer tells the client to connect anew, where somebody else
 * listens. A connection that stays silent ends after `lingerMs`; if that is the keep-alive time or longer, no
 * connection lives shorter than its client was told, and the drain takes that long. Whoever stops for good, with
 * nobody to connect to afterwards, wants a short one.
 *
 * `Server.close` of node:http is not used: it ends idle connections at once, and from then on the deadlines for
 * headers and bodies are not looked after any more, so that a silent connection would keep the server until the
 * grace time is over. `Server.close` of node:net, which it calls, does neither.
 */

import type { Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';

export interface DrainOptions {
  /** How long everything may take, in milliseconds. What is left then is cut. */
  readonly graceMs: number;
  /** How long an idle connection is still listened to, in milliseconds; at most its keep-alive time. Default 0. */
  readonly lingerMs?: number;
}

/**
 * Takes no new connection, and resolves when all of `connections` have ended. The caller sees to it that answers say
 * `Connection: close` from now on. `onGraceOver` is called before what is left is cut.
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
    // For those whose answer is on its way without having told them; Node takes 0 for "never".
    server.keepAliveTimeout = Math.max(1, lingerMs);
    linger = setTimeout(() => {
      server.closeIdleConnections();
      // Node calls a connection idle only after its first request.
      for (const connection of connections) if (connection.bytesRead === 0) connection.destroy();
    }, lingerMs);
  }
  await closed;
  clearTimeout(grace);
  clearTimeout(linger);
  // Now that nothing is left that it could hurt: it ends the timer that looks after the deadlines.
  server.close();
}
