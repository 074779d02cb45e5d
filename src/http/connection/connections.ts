/**
 * Limits the open connections of a server.
 *
 *     new connection ──> has its address reached its limit? ──yes──> refused
 *                                     │ no
 *                          is the server full? ──no──> admitted
 *                                     │ yes
 *                          is a connection idle? ──yes──> the longest idle one is closed, the new one admitted
 *                                     │ no
 *                                     v
 *                                  refused
 *
 * A connection is idle before its first request and between requests. So silent connections can fill the server only up to the
 * limit of their addresses, and even then they make room for the next client. A client that sends a request at the moment when
 * its idle connection is closed loses that request; otherwise the new client would have been refused.
 *
 * A reverse proxy connects for all of its clients from one address, so trusted proxies have no limit per address.
 *
 * Invariants: at most `max` connections are open, and at most `maxPerAddress` from one address that is not exempt; a connection
 * with a request in flight is never closed here.
 */

import type { Socket } from 'node:net';
import { clientKey, plainAddress } from './addresses.ts';

export interface ConnectionLimits {
  /** The maximum number of open connections. */
  readonly max: number;
  /** The maximum number from one client address (one /64 of IPv6). Default `max`. */
  readonly maxPerAddress?: number;
  /** Whether an address has no limit of its own, because it is a proxy. */
  readonly isExempt?: (address: string) => boolean;
}

/** Why a connection was refused: the server was full without an idle connection, or the address had reached its limit. */
export type RejectionReason = 'full' | 'address';

export interface Connections {
  readonly open: ReadonlySet<Socket>;
  /** Admits a new connection, or destroys it. Returns why it was refused; undefined if it was admitted. */
  admit(socket: Socket): RejectionReason | undefined;
  /** Records that this connection is not idle: a request has started. */
  begin(socket: Socket): void;
  /** Records that this connection is idle: every request has its response. */
  end(socket: Socket): void;
}

export function createConnections(limits: ConnectionLimits): Connections {
  const { max, maxPerAddress = max, isExempt = () => false } = limits;
  const open = new Set<Socket>();
  /** The key under which the address of a connection is counted; undefined if it is exempt. */
  const keys = new WeakMap<Socket, string | undefined>();
  const perAddress = new Map<string, number>();
  /** In the order in which they became idle. */
  const idle = new Set<Socket>();

  function keyOf({ remoteAddress }: Socket): string | undefined {
    if (remoteAddress === undefined || maxPerAddress >= max) return undefined;
    const address = plainAddress(remoteAddress);
    return isExempt(address) ? undefined : clientKey(address);
  }

  function makeRoom(): boolean {
    if (open.size < max) return true;
    const [oldestIdle] = idle;
    if (oldestIdle === undefined) return false;
    remove(oldestIdle);
    oldestIdle.destroy();
    return true;
  }

  function remove(socket: Socket): void {
    idle.delete(socket);
    if (!open.delete(socket)) return;
    const key = keys.get(socket);
    if (key === undefined) return;
    const left = (perAddress.get(key) ?? 1) - 1;
    if (left > 0) perAddress.set(key, left);
    else perAddress.delete(key);
  }

  return {
    open,
    admit(socket) {
      const key = keyOf(socket);
      const held = key === undefined ? 0 : (perAddress.get(key) ?? 0);
      const rejection = held >= maxPerAddress ? 'address' : makeRoom() ? undefined : 'full';
      if (rejection !== undefined) {
        socket.destroy();
        return rejection;
      }
      if (key !== undefined) perAddress.set(key, held + 1);
      keys.set(socket, key);
      open.add(socket);
      idle.add(socket);
      socket.once('close', () => remove(socket));
      return undefined;
    },
    begin(socket) {
      idle.delete(socket);
    },
    end(socket) {
      if (open.has(socket)) idle.add(socket);
    },
  };
}
