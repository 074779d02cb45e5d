/**
 * Returns connections that the primary has sent to a worker which died before it took them.
 *
 * The primary of `node:cluster` accepts each connection and sends it to a worker over the channel between them. It keeps
 * its own descriptor open until the worker acknowledges the connection, and waits for that without a limit. If the worker
 * is killed first, the descriptor stays open in the primary, and the client waits for an answer that no process sends.
 *
 *     accepted ──newconn──> worker ──ack──> the primary closes its descriptor
 *                             │  the worker is gone, and another is ready ──> the other worker gets the connection
 *                             │  the worker is gone, and there is no other ──> closed: the client sees a reset
 *                             └─ the worker has no file descriptor left (NACK) ──> closed; the worker gets the next one
 *
 * A worker acknowledges a connection before it reads from it, so no data is lost when another worker gets it.
 *
 * The cluster module has no interface for this. So this module emits the missing acknowledgement itself, as a message of
 * the same form (`lib/internal/cluster/round_robin_handle.js` and `lib/internal/child_process.js` of Node.js, versions 20
 * to 26). If a later version changes that form, this module recognises no message, Node behaves as it does without it, and
 * a test fails.
 */

import type { ChildProcess } from 'node:child_process';
import * as z from 'zod';

const handOver = z.object({ cmd: z.literal('NODE_CLUSTER'), act: z.literal('newconn'), seq: z.number() });
const acknowledgement = z.object({ cmd: z.literal('NODE_CLUSTER'), ack: z.number() });
const nack = z.object({ cmd: z.literal('NODE_HANDLE_NACK') });

/**
 * Observes the connections that the primary sends to a worker. Call it once, directly after the fork. `hasOther` returns
 * whether another worker accepts connections.
 */
export function returnLostConnections(child: ChildProcess, hasOther: () => boolean): void {
  /** The message numbers of connections without an acknowledgement, the oldest first. */
  const pending = new Set<number>();
  const send = child.send;

  function acknowledge(ack: number, accepted: boolean): void {
    pending.delete(ack);
    child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted });
  }

  // When the channel closes, Node calls this, and delays the event `disconnect` until the connection in transit has been
  // received, which never happens. The NACK below cancels that delay. `channel` is set only while the event is delayed.
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
    // Only one connection is in transit at a time.
    const [oldest] = pending;
    if (oldest !== undefined && nack.safeParse(message).success) acknowledge(oldest, true);
  });
  // The listener of the cluster module runs before this one, so this worker gets no further connection.
  child.once('disconnect', () => {
    for (const ack of pending) acknowledge(ack, !hasOther());
  });
}
