/**
 * An answer that goes on: server-sent events (WHATWG HTML, section 9.2) that show the newest state of something.
 *
 *     show(a), show(b), ...  ──>  [ the newest not yet sent ]  ──the client reads──>  id, event and data on the wire
 *                                             ^                                       ":" when all was quiet
 *                                  finish() ──┴──> this one goes out, then the end
 *
 * What is shown are snapshots, so one that a slow client has not read yet is replaced by the next, and is never written
 * out. Invariants: at most one snapshot waits; one rendered event and what fits the socket is all that is buffered,
 * however slowly the client reads; a heartbeat is written only while the client reads, so that the server's limit on
 * connections that stand still ends one that does not; after `finish` or `destroy` nothing is shown any more, and no
 * timer is left.
 *
 * The client comes again `retryMs` after the end, with the id of the last event it got in `Last-Event-ID`. What it wants
 * to hear then is the caller's to decide; 204 tells it to stay away. Whoever drains the server finishes the streams that
 * are open (server.ts): a client that is sent elsewhere loses nothing.
 */

import { Readable } from 'node:stream';

export const eventStreamType = 'text/event-stream';

export interface ServerSentEvent {
  /** What the client sends as `Last-Event-ID` when it comes again. Without line breaks and NUL. */
  readonly id: string;
  /** The name that the client listens for. Without line breaks. */
  readonly event: string;
  readonly data: string;
}

export interface EventStreamOptions<Snapshot> {
  /** Makes the event of a snapshot. `previous` is the one that this client was sent before, if any. */
  readonly render: (snapshot: Snapshot, previous: Snapshot | undefined) => ServerSentEvent;
  /** How long the client waits before it comes again, in milliseconds. */
  readonly retryMs?: number;
  /** After which silence a line says that the connection is alive, in milliseconds. */
  readonly heartbeatMs?: number;
}

/** To be destroyed, or read to its end. An error of `render` destroys it. */
export class EventStream<Snapshot> extends Readable {
  readonly #render: EventStreamOptions<Snapshot>['render'];
  readonly #heartbeat: NodeJS.Timeout;
  #waiting: { readonly snapshot: Snapshot } | undefined = undefined;
  #previous: Snapshot | undefined = undefined;
  #finished = false;
  /** Whether the reader has room. */
  #wanted = false;

  constructor({ render, retryMs = 1_000, heartbeatMs = 15_000 }: EventStreamOptions<Snapshot>) {
    super({ highWaterMark: 1 });
    this.#render = render;
    this.#heartbeat = setInterval(() => this.#write(':\n\n'), heartbeatMs).unref();
    this.push(`retry: ${retryMs}\n\n`);
  }

  /** Sends the snapshot as soon as the client takes it, unless a newer one is shown before. */
  show(snapshot: Snapshot): void {
    if (this.#finished) return;
    this.#waiting = { snapshot };
    this.#deliver();
  }

  /** Ends the stream after what was shown. */
  finish(): void {
    this.#finished = true;
    this.#deliver();
  }

  override _read(): void {
    this.#wanted = true;
    this.#deliver();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#heartbeat);
    this.#waiting = undefined;
    callback(error);
  }

  #deliver(): void {
    if (!this.#wanted || this.destroyed) return;
    if (this.#waiting === undefined) {
      if (this.#finished) this.push(null);
      return;
    }
    const { snapshot } = this.#waiting;
    this.#waiting = undefined;
    try {
      const { id, event, data } = this.#render(snapshot, this.#previous);
      this.#previous = snapshot;
      const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
      this.#write(`id: ${id}\nevent: ${event}\n${lines.join('')}\n`);
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #write(text: string): void {
    if (!this.#wanted || this.destroyed) return;
    this.#wanted = false;
    this.#heartbeat.refresh();
    this.push(text);
  }
}
