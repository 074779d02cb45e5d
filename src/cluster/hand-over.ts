/**
 * What becomes of connections that a worker was given and never took.
 *
 * The primary of `node:cluster` accepts each connection and sends it to a worker over the channel between them. It keeps
 * its own descriptor open until the worker has acknowledged the connection, and waits for that without end: of a worker that is
 * killed first, the descriptor stays open in the primary, and the client waits for an answer that nobody makes.
 *
 *     accepted ──newconn──> worker ──ack──> the primary closes its descriptor
 *                             │  the worker is gone, and another is ready ──> that one gets the connection
 *                             │  the worker is gone, and there is no other ──> closed: the client sees a reset
 *                             └─ the worker has no file descriptor left (NACK) ──> closed, and it gets the next one
 *
 * A worker acknowledges before it reads from the connection, so one that is handed on has not been read from.
 *
 * The cluster module has no interface for this. So the acknowledgement that did not come is made up here, as a message of the
 * same form (`lib/internal/cluster/round_robin_handle.js` and `lib/internal/child_process.js` of Node.js, versions 20 to 26).
 * If a later version changes that form, nothing is recognised here, and Node behaves as it does by itself; a test would fail.
 */

import type { ChildProcess } from 'node:child_process';
import * as z from 'zod';

const handOver = z.object({ cmd: z.literal('NODE_CLUSTER'), act: z.literal('newconn'), seq: z.number() });
const acknowledgement = z.object({ cmd: z.literal('NODE_CLUSTER'), ack: z.number() });
const refusal = z.object({ cmd: z.literal('NODE_HANDLE_NACK') });

/**
 * Watches what the primary hands over to a worker. Call it once, directly after the fork; `hasOther` tells whether
 * another worker takes connections.
 */
export function returnLostConnections(child: ChildProcess, hasOther: () => boolean): void {
  /** Connections without an acknowledgement, the oldest first, by the number of their message. */
  const pending = new Set<number>();
  const send = child.send;

  function settle(ack: number, accepted: boolean): void {
    pending.delete(ack);
    child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted });
  }

  // At the end of the channel Node calls this, and puts the event `disconnect` off until the connection on its way has
  // arrived: for ever. Its arrival lets the event come; `channel` is there only while it is put off.
  const disconnect = child.disconnect;
  Object.defineProperty(child, 'disconnect', {
    configurable: true,
    writable: true,
    value() {
      Reflect.apply(disconnect, child, []);
      if (child.channel) child.emit('internalMessage', { cmd: 'NODE_HANDLE_ACK' });
    },
  });
  Object.defineProperty(child, 'send', {
    configurable: true,
    writable: true,
    value(...args: unknown[]) {
      const { data } = handOver.safeParse(args[0]);
      if (data !== undefined) pending.add(data.seq);
      return Reflect.apply(send, child, args);
    },
  });
  child.on('internalMessage', (message: unknown) => {
    const { data } = acknowledgement.safeParse(message);
    if (data !== undefined) pending.delete(data.ack);
    // Only one connection is on its way at a time.
    const [oldest] = pending;
    if (oldest !== undefined && refusal.safeParse(message).success) settle(oldest, true);
  });
  // The cluster module has listened first, and gives this worker no further connection.
  child.once('disconnect', () => {
    for (const ack of pending) settle(ack, !hasOther());
  });
}
