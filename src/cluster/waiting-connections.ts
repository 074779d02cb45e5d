/**
 * Limits the connections that wait in the primary. The primary accepts for all workers, and a blocked worker takes none.
 * Node would queue new connections without a limit, until the primary has no file descriptor left for its probes or for
 * a new worker. This module closes connections beyond the limit at once.
 *
 * The cluster module has no interface for this. It listens with a `net.Server`, which Node announces on a diagnostics
 * channel, and takes the connections from its handle. This module counts them there until their handle is closed. If a
 * later version of Node works differently, this module finds no handle and limits nothing, and a test fails.
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

export interface WaitingConnectionsOptions {
  /** The maximum number of waiting connections. */
  readonly max: number;
  /** Called for each connection that is closed at once. */
  readonly onRejected: () => void;
}

/** Call it once, in the primary, before the first fork. Returns a function that counts the waiting connections. */
export function limitWaitingConnections({ max, onRejected }: WaitingConnectionsOptions): () => number {
  let waiting = 0;

  function limit(handle: { onconnection: Callable }): void {
    const distribute = handle.onconnection;
    handle.onconnection = (error, given) => {
      const client = clientHandle.safeParse(given).data;
      if (client !== undefined && waiting >= max) {
        client.close();
        onRejected();
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
    const defaultHandler = callable.safeParse(handle?.onconnection).data;
    // On `listening`, the cluster module replaces the default function by its own.
    server.once('listening', () =>
      process.nextTick(() => {
        if (handle !== undefined && handle.onconnection !== defaultHandler) limit(handle);
      }),
    );
  });
  return () => waiting;
}
