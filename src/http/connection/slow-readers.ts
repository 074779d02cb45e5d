/**
 * Closes connections whose client does not read the response. A response stays in memory until the operating system has
 * accepted its last byte, and the system stops accepting while the client does not read.
 *
 *     nothing unsent ──bytes are unsent──> watched ──`minBytesPerSecond` accepted within `timeoutMs`──> watched, time starts again
 *            ^                                │ │
 *            '────────all were accepted───────' '──fewer accepted──> closed
 *
 * A rate and not any progress is required: a client that reads a few bytes every few seconds would hold the response for hours.
 * A connection without unsent bytes is never closed here, however long its handler takes, and so is an event stream that has
 * nothing to send. One timer looks at all connections, so a request costs nothing.
 *
 * The system accepts bytes in steps of about a third of its send buffer, which grows with the speed of the connection to a few
 * MB. So a client that has read fast and then reads slowly may show no progress for a while; `timeoutMs` must cover that.
 */

import type { Socket } from 'node:net';

export interface SlowReaderOptions {
  readonly open: ReadonlySet<Socket>;
  /** How long a client may read too slowly, in milliseconds. */
  readonly timeoutMs: number;
  /** Called for each connection that is closed. */
  readonly onClosed: (socket: Socket) => void;
}

/** The minimum rate of a client: 240 bytes, as in Kestrel and IIS. */
const minBytesPerSecond = 240;
const maxCheckMs = 1_000;

/** Starts the timer. Returns a function that stops it. */
export function closeSlowReaders({ open, timeoutMs, onClosed }: SlowReaderOptions): () => void {
  const minBytes = (minBytesPerSecond * timeoutMs) / 1000;
  /** The number of bytes accepted when the time of a connection started. */
  const watched = new Map<Socket, { readonly accepted: number; readonly since: number }>();

  const timer = setInterval(
    () => {
      const now = performance.now();
      for (const socket of watched.keys()) if (!open.has(socket)) watched.delete(socket);
      for (const socket of open) {
        if (socket.writableLength === 0) {
          watched.delete(socket);
          continue;
        }
        const accepted = acceptedBytes(socket);
        const start = watched.get(socket);
        if (start === undefined || accepted - start.accepted >= minBytes) {
          watched.set(socket, { accepted, since: now });
        } else if (now - start.since >= timeoutMs) {
          // A reset also frees the send buffer of the system.
          socket.resetAndDestroy();
          onClosed(socket);
        }
      }
    },
    Math.min(maxCheckMs, timeoutMs / 4),
  );
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Returns how many bytes the operating system has accepted. Node counts a write when it starts and when the last byte of it was
 * accepted; the part that is still queued is known only to the handle, which is not public. Without it, progress is seen at the
 * end of each write.
 */
function acceptedBytes(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const queued: unknown = Object(handle).writeQueueSize;
  const written: unknown = Object(handle).bytesWritten;
  return typeof queued === 'number' && typeof written === 'number'
    ? written - queued
    : socket.bytesWritten - socket.writableLength;
}
