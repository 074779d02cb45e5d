/**
 * Pipelined requests: a client sends requests without waiting for the responses to the earlier ones. The requests of one
 * connection are handled one after the other (RFC 9112, section 9.3.2 allows to handle only safe ones at the same time), and
 * the connections take turns, so that a client that pipelines delays no other client:
 *
 *     request ──> is the connection free? ──yes──> start
 *                        │ no
 *                        v
 *              it waits, and the socket is not read ──the response before it was sent──> ready ──> start
 *                                                                                          ^
 *                                                        one of all connections that are ready, in each turn of the event loop
 *
 * A response counts as sent when the operating system has accepted its last byte. So the memory of a connection whose client
 * does not read is one response, however many requests it has sent.
 *
 * The parser reads up to 64 KiB at once and cannot stop inside. If more than `maxWaiting` requests wait, the rest is ignored
 * and the connection is closed after the last response, as after each `Connection: close`; the client can repeat the requests
 * without a response (RFC 9112, section 9.3.1). A connection with more than `maxIgnored` ignored requests is closed at once,
 * because each takes about 2 kB of memory until then.
 *
 * Invariants: at most one request of a connection is between its start and the end of its response; requests start in the order
 * of their arrival; at most one request that waited starts in a turn of the event loop; after `end` none starts; while a request waits, the
 * socket stays paused, also when other code resumes it.
 *
 * Limit: a paused socket does not notice that its client has disconnected, so the work for a request before a waiting one
 * continues until its deadline.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

export interface PipeliningOptions<Kind> {
  readonly start: (request: IncomingMessage, response: ServerResponse, kind: Kind) => void;
  /** Called when a connection is closed because it has too many requests without a response. */
  readonly onExcess: (socket: Duplex) => void;
}

export interface Pipelining<Kind> {
  /** Starts the request now or later, or ignores it. `kind` is passed to `start`. */
  receive(request: IncomingMessage, response: ServerResponse, kind: Kind): void;
  /** Records that a response was sent, or that its connection was closed. Returns whether no request waits. */
  finish(socket: Duplex): boolean;
  /** Ignores all requests that have not started, because the response in progress has `Connection: close`. */
  end(socket: Duplex): void;
  /** Whether the response in progress must have `Connection: close`, because later requests were ignored. */
  mustClose(socket: Duplex): boolean;
  /** Returns the response to the last request that was not ignored; undefined after it was sent. */
  last(socket: Duplex): ServerResponse | undefined;
  /** Returns the number of requests that wait, on all connections. */
  waiting(): number;
}

interface Arrival<Kind> {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly kind: Kind;
}

interface Lane<Kind> {
  readonly socket: Duplex;
  /** Whether a response is in progress. */
  isBusy: boolean;
  /** Whether new requests are ignored. */
  isClosed: boolean;
  /** Whether the requests that wait are ignored too. */
  hasEnded: boolean;
  ignored: number;
  last: ServerResponse | undefined;
  waiting: Arrival<Kind>[];
  /** Whether the listener that keeps the socket paused is there. */
  isHeld: boolean;
}

const maxWaiting = 100;
const maxIgnored = 150;

export function createPipelining<Kind>({ start, onExcess }: PipeliningOptions<Kind>): Pipelining<Kind> {
  const lanes = new WeakMap<Duplex, Lane<Kind>>();
  /** Connections whose last response was sent and that have a request that waits. */
  const ready = new Set<Lane<Kind>>();
  let waiting = 0;

  function laneOf(socket: Duplex): Lane<Kind> {
    const known = lanes.get(socket);
    if (known !== undefined) return known;
    const lane: Lane<Kind> = {
      socket,
      isBusy: false,
      isClosed: false,
      hasEnded: false,
      ignored: 0,
      last: undefined,
      waiting: [],
      isHeld: false,
    };
    lanes.set(socket, lane);
    return lane;
  }

  function ignore(lane: Lane<Kind>): void {
    lane.ignored += 1;
    if (lane.ignored <= maxIgnored || lane.socket.destroyed) return;
    lane.socket.destroy();
    onExcess(lane.socket);
  }

  function wait(lane: Lane<Kind>, arrival: Arrival<Kind>): void {
    const { socket } = lane;
    if (!lane.isHeld) {
      lane.isHeld = true;
      // Code that reads bodies, and Node itself, resume the socket.
      socket.on('resume', () => {
        if (lane.waiting.length > 0) socket.pause();
      });
      socket.once('close', () => drop(lane));
    }
    lane.waiting.push(arrival);
    waiting += 1;
    socket.pause();
  }

  function drop(lane: Lane<Kind>): void {
    waiting -= lane.waiting.length;
    lane.waiting = [];
    lane.last = undefined;
  }

  function startNext(): void {
    const [lane] = ready;
    if (lane === undefined) return;
    ready.delete(lane);
    if (ready.size > 0) setImmediate(startNext);
    const arrival = lane.waiting.shift();
    if (arrival === undefined) return;
    waiting -= 1;
    if (lane.waiting.length === 0) lane.socket.resume();
    start(arrival.request, arrival.response, arrival.kind);
  }

  return {
    receive(request, response, kind) {
      const lane = laneOf(request.socket);
      if (lane.waiting.length >= maxWaiting) lane.isClosed = true;
      if (lane.isClosed) return ignore(lane);
      lane.last = response;
      if (lane.isBusy) return wait(lane, { request, response, kind });
      lane.isBusy = true;
      start(request, response, kind);
    },
    finish(socket) {
      const lane = laneOf(socket);
      if (lane.hasEnded || socket.destroyed || socket.writableEnded) drop(lane);
      if (lane.waiting.length === 0) {
        lane.isBusy = false;
        lane.last = undefined;
        return true;
      }
      ready.add(lane);
      if (ready.size === 1) setImmediate(startNext);
      return false;
    },
    end(socket) {
      const lane = laneOf(socket);
      lane.isClosed = true;
      lane.hasEnded = true;
    },
    mustClose(socket) {
      const lane = lanes.get(socket);
      return lane?.isClosed === true && lane.waiting.length === 0;
    },
    last: (socket) => lanes.get(socket)?.last,
    waiting: () => waiting,
  };
}
