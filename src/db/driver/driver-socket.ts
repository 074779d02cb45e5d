/**
 * The sockets of the driver, opened by us and not by the driver, so that a connection whose peer is dead can be
 * destroyed. The driver offers no way to do that: its own `end` waits for what was sent to be delivered.
 *
 * The kernel probes an idle connection after 5 s, then every second, and closes it after 10 probes without an answer
 * (libuv fixes the interval and the count). The probes also keep firewalls from forgetting a connection that is idle.
 *
 * A URL can name several hosts. A connection goes to the host that worked last, and to the next one after a connection
 * that did not open, or that ended within its first seconds: it may lead to a standby that the driver left again.
 */

import { Socket } from 'node:net';

/** What the driver tells about where to connect to. */
export interface DriverAddress {
  readonly host: readonly string[];
  readonly port: readonly number[];
  /** Of a Unix domain socket, instead of host and port. */
  readonly path?: string | false | undefined;
}

export interface DriverSockets {
  /** Opens a socket, as the driver's option `socket` must. `onOpen` gets it too. */
  open(address: DriverAddress): DriverSocket;
  /** Destroys the sockets that are left. */
  destroyAll(): void;
}

export const keepAliveSeconds = 5;

/** A connection that ended earlier did not work. */
const trialMs = 10_000;

/** A connection to the server. `host` and `port` are what the driver names in its errors, and in TLS. */
export class DriverSocket extends Socket {
  readonly host: string;
  readonly port: number;
  readonly #onDestroyed: (socket: DriverSocket) => void;

  constructor(host: string, port: number, onDestroyed: (socket: DriverSocket) => void) {
    super();
    this.host = host;
    this.port = port;
    this.#onDestroyed = onDestroyed;
  }

  /** An event would not do: the driver removes all listeners when TLS begins. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#onDestroyed(this);
    super._destroy(error, callback);
  }
}

/** `onOpen` is called with each new socket, in the asynchronous context in which the driver asked for it. */
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
  };
}
