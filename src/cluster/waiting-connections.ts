/**
 * Bounds the connections that wait in the primary. It accepts for all workers, and a worker that is blocked takes none;
 * Node would keep what comes meanwhile without a limit, until the primary has no file descriptor left, for its probes
 * or for a new worker. What is beyond the limit is closed at once.
 *
 * The cluster module has no interface for this. It listens with a `net.Server`, which Node announces on a diagnostics
 * channel, and takes the connections from its handle by itself: there they are counted until their handle is closed.
 * If a later version of Node works otherwise, nothing is found here, and nothing is bounded; a test would fail.
 */

import { tracingChannel } from 'node:diagnostics_channel';
import { Server } from 'node:net';
import * as z from 'zod';

type Callable = (...args: unknown[]) => unknown;

const callable = z.custom<Callable>((value) => typeof value === 'function');
const listeningHandle = z.custom<{ onconnection: Callable }>(
  (value) => typeof value === 'object' && value !== null && 'onconnection' in value,
);
const clientHandle = z.custom<{ close: Callable }>(
  (value) => typeof value === 'object' && value !== null && 'close' in value,
);

export interface WaitingLimit {
  readonly max: number;
  /** Called for each connection that was closed. */
  readonly onRefused: () => void;
}

/** Call it once, in the primary, before the first worker is forked. Returns how many connections wait. */
export function limitWaitingConnections({ max, onRefused }: WaitingLimit): () => number {
  let waiting = 0;

  function watch(handle: { onconnection: Callable }): void {
    const distribute = handle.onconnection;
    handle.onconnection = (error, given) => {
      const client = clientHandle.safeParse(given).data;
      if (client !== undefined && waiting >= max) {
        client.close();
        onRefused();
        return;
      }
      if (client !== undefined) count(client);
      Reflect.apply(distribute, handle, [error, given]);
    };
  }

  function count(client: { close: Callable }): void {
    const { close } = client;
    let isOpen = true;
    waiting += 1;
    client.close = (...args) => {
      if (isOpen) waiting -= 1;
      isOpen = false;
      return Reflect.apply(close, client, args);
    };
  }

  tracingChannel('net.server.listen').asyncEnd.subscribe((message) => {
    const server = typeof message === 'object' && message !== null && 'server' in message && message.server;
    if (!(server instanceof Server)) return;
    const handle = listeningHandle.safeParse(Reflect.get(server, '_handle')).data;
    const usual = callable.safeParse(handle?.onconnection).data;
    // The cluster module puts its own function in place of the usual one when it hears that the server listens.
    server.once('listening', () =>
      process.nextTick(() => {
        if (handle !== undefined && handle.onconnection !== usual) watch(handle);
      }),
    );
  });
  return () => waiting;
}
