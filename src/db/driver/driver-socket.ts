/**
 * Opens the sockets of the driver, so that a connection with a dead peer can be destroyed. The driver cannot do that:
 * its own `end` waits until everything it sent has been delivered.
 *
 * The kernel probes an idle connection after 5 s, then every second, and closes it after 10 unanswered probes (libuv
 * fixes the interval and the count). The probes also keep firewalls from forgetting an idle connection.
 *
 * A URL can name several hosts. A connection goes to the host that worked last. It goes to the next host after a
 * connection that did not open, or that was closed within its first seconds: the driver closes a connection to the wrong
 * kind of server, such as a standby.
 */

import { Socket } from 'node:net';

/** Where to connect to, as the driver passes it. */
export interface DriverAddress {
  readonly host: readonly string[];
  readonly port: readonly number[];
  /** The path of a Unix domain socket, used instead of host and port. */
  readonly path?: string | false | undefined;
}

export interface DriverSockets {
  /** Opens a socket and passes it to `onOpen`. It is the driver's option `socket`. */
  open(address: DriverAddress): DriverSocket;
  /** Destroys all sockets that are still open. */
  destroyAll(): void;
  /** Resets all sockets that are still open. */
  resetAll(reason: Error): void;
}

export const keepAliveSeconds = 5;

/** A connection that is closed earlier than this counts as failed. */
const trialMs = 10_000;

/** A connection to the server. The driver uses `host` and `port` in its errors and for TLS. */
export class DriverSocket extends Socket {
  readonly host: string;
  readonly port: number;
  readonly #onDestroyed: (socket: DriverSocket) => void;
  #resetReason: Error | undefined;

  constructor(host: string, port: number, onDestroyed: (socket: DriverSocket) => void) {
    super();
    this.host = host;
    this.port = port;
    this.#onDestroyed = onDestroyed;
  }

  /**
   * Destroys the socket, and discards the bytes that the kernel has not delivered yet. After `destroy`, the kernel still
   * delivers them when the network is back, up to minutes later: then PostgreSQL would run a statement that its caller
   * knows as failed. The peer of a connection that was reset while the network was down learns of it by its own
   * keepalive probes.
   */
  reset(reason: Error): void {
    // Nothing was sent on a connection that is not open yet. A Unix domain socket cannot be reset, and needs no network.
    if (this.connecting || this.remoteAddress === undefined) return void this.destroy(reason);
    this.#resetReason = reason;
    this.resetAndDestroy();
  }

  /** Overridden instead of listening to an event, because the driver removes all listeners when TLS starts. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#onDestroyed(this);
    super._destroy(error ?? this.#resetReason ?? null, callback);
  }
}

/** `onOpen` is called with each new socket, in the asynchronous context of the query that needs it. */
export function createDriverSockets(onOpen: (socket: DriverSocket) => void): DriverSockets {
  const sockets = new Set<DriverSocket>();
  let current = 0;

  return {
    open({ host: hosts, port: ports, path }) {
      const index = current % hosts.length;
      const openedAt = performance.now();
      const host = hosts[index] ?? 'localhost';
      const port = ports[index] ?? 5432;
      const socket = new DriverSocket(host, port, () => {
        sockets.delete(socket);
        if (performance.now() - openedAt < trialMs && current % hosts.length === index) current = index + 1;
      });
      sockets.add(socket);
      socket.setKeepAlive(true, keepAliveSeconds * 1000);
      onOpen(socket);
      if (typeof path === 'string') socket.connect(path);
      else socket.connect(port, host);
      return socket;
    },
    destroyAll() {
      for (const socket of sockets) socket.destroy();
    },
    resetAll(reason) {
      for (const socket of sockets) socket.reset(reason);
    },
  };
}
