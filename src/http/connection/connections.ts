/**
 * The open connections of a server, and which new one is let in.
 *
 *     a new connection ──> its address holds its share already? ──yes──> refused
 *                                     │ no
 *                          all places are taken? ──no──> admitted
 *                                     │ yes
 *                          a connection is idle? ──yes──> the one that is idle longest is closed, the new one admitted
 *                                     │ no
 *                                     v
 *                                  refused
 *
 * A connection is idle from its opening to its first request, and between requests. So connections that are opened and
 * say nothing can fill a server only up to the share of their addresses, and give way to the next client even then. A
 * client that sends its next request at the very moment in which its idle connection is closed loses that request; it
 * would otherwise have been the new client that is turned away.
 *
 * A reverse proxy opens all of its clients' connections from one address, so trusted proxies have no share.
 *
 * Invariants: never more than `max` connections are open, and never more than `maxPerAddress` of one address that is
 * not exempt; a connection with a request under way is never closed here.
 */

import type { Socket } from 'node:net';
import { clientKey, plainAddress } from '../addresses.ts';

export interface ConnectionLimits {
  /** The most connections that are open at once. */
  readonly max: number;
  /** The most of them from one client address (from one /64 of IPv6). Default `max`. */
  readonly maxPerAddress?: number;
  /** Whether an address has no share of its own: a proxy that connects for many clients. */
  readonly isExempt?: (address: string) => boolean;
}

/** Why a connection was refused: all places were taken and none was idle, or its address held its share. */
export type Refusal = 'full' | 'address';

export interface Connections {
  readonly open: ReadonlySet<Socket>;
  /** Takes a new connection, or destroys it. Returns why it was refused; undefined if it was admitted. */
  admit(socket: Socket): Refusal | undefined;
  /** A request on this connection is under way. */
  begin(socket: Socket): void;
  /** A request on it has been answered. */
  end(socket: Socket): void;
}

interface State {
  /** What its address is counted as; undefined if it is exempt. */
  readonly key: string | undefined;
  requests: number;
}

export function createConnections(limits: ConnectionLimits): Connections {
  const { max, maxPerAddress = max, isExempt = () => false } = limits;
  const open = new Set<Socket>();
  const states = new WeakMap<Socket, State>();
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
    const [longest] = idle;
    if (longest === undefined) return false;
    remove(longest);
    longest.destroy();
    return true;
  }

  function remove(socket: Socket): void {
    idle.delete(socket);
    if (!open.delete(socket)) return;
    const key = states.get(socket)?.key;
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
      const refusal = held >= maxPerAddress ? 'address' : makeRoom() ? undefined : 'full';
      if (refusal !== undefined) {
        socket.destroy();
        return refusal;
      }
      if (key !== undefined) perAddress.set(key, held + 1);
      states.set(socket, { key, requests: 0 });
      open.add(socket);
      idle.add(socket);
      socket.once('close', () => remove(socket));
      return undefined;
    },
    begin(socket) {
      const state = states.get(socket);
      if (state === undefined) return;
      state.requests += 1;
      idle.delete(socket);
    },
    end(socket) {
      const state = states.get(socket);
      if (state === undefined) return;
      state.requests -= 1;
      if (state.requests === 0 && open.has(socket)) idle.add(socket);
    },
  };
}
