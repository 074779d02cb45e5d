/**
 * A long-lived response: server-sent events (WHATWG HTML, section 9.2) that show the latest state of something.
 *
 *     show(a), show(b), ...  ──>  [ the latest unsent snapshot ]  ──the client reads──>  id, event and data on the wire
 *                                             ^                                          ":" as a heartbeat
 *                                  finish() ──┴──> sends this one, then closes the stream
 *
 * Each event is a snapshot, so the next one replaces a snapshot that a slow client has not read yet. Invariants: at most one
 * snapshot waits; one rendered event and the buffer of the socket are all that is kept in memory, however slowly the client
 * reads; a heartbeat is written only while the client reads, so that the stall timeout of the server closes a connection whose
 * client does not; after `finish` or `destroy` nothing is sent, and no timer is left.
 *
 * The client reconnects `retryMs` after the end, with the id of its last event in `Last-Event-ID`. The route decides how to
 * continue; a 204 stops the client from reconnecting. When the server drains, it finishes the open streams (server.ts), and
 * their clients reconnect elsewhere without losing an event.
 */

import { Readable } from 'node:stream';

export const eventStreamType = 'text/event-stream';

export interface ServerSentEvent {
  /** The client sends it as `Last-Event-ID` when it reconnects. Without line breaks and NUL. */
  readonly id: string;
  /** The event name that the client listens for. Without line breaks. */
  readonly event: string;
  readonly data: string;
}

export interface EventStreamOptions<Snapshot> {
  /** Renders a snapshot. `previous` is the snapshot that this client was sent before, if any. */
  readonly render: (snapshot: Snapshot, previous: Snapshot | undefined) => ServerSentEvent;
  /** How long the client waits before it reconnects, in milliseconds. */
  readonly retryMs?: number;
  /** How long nothing is sent before a heartbeat, in milliseconds. */
  readonly heartbeatMs?: number;
}

/** Read it to its end, or destroy it. An error of `render` destroys it. */
export class EventStream<Snapshot> extends Readable {
  readonly #render: EventStreamOptions<Snapshot>['render'];
  readonly #heartbeat: NodeJS.Timeout;
  #pending: { readonly snapshot: Snapshot } | undefined = undefined;
  #previous: Snapshot | undefined = undefined;
  #finished = false;
  /** Whether the consumer asks for more data. */
  #wanted = false;

  constructor({ render, retryMs = 1_000, heartbeatMs = 15_000 }: EventStreamOptions<Snapshot>) {
    super({ highWaterMark: 1 });
    this.#render = render;
    this.#heartbeat = setInterval(() => this.#write(':\n\n'), heartbeatMs).unref();
    this.push(`retry: ${retryMs}\n\n`);
  }

  /** Sends the snapshot as soon as the client reads, unless a newer one replaces it before. */
  show(snapshot: Snapshot): void {
    if (this.#finished) return;
    this.#pending = { snapshot };
    this.#deliver();
  }

  /** Ends the stream after the pending snapshot. */
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
    this.#pending = undefined;
    callback(error);
  }

  #deliver(): void {
    if (!this.#wanted || this.destroyed) return;
    if (this.#pending === undefined) {
      if (this.#finished) this.push(null);
      return;
    }
    const { snapshot } = this.#pending;
    this.#pending = undefined;
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
