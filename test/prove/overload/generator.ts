/**
 * A load generator that costs little per request, because it shares two processors with the server and PostgreSQL: requests are
 * prepared bytes, and only the status, `Retry-After` and the length are read of a response. An open loop fixes the time at
 * which each request is due before the first one is sent, and counts from that time (bench/open-loop.ts has the reason).
 */

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface LoadAnswer {
  readonly status: number;
  readonly hasRetryAfter: boolean;
  readonly isSignedIn: boolean;
  /** From the time at which the request was due until its last byte, in milliseconds. */
  readonly ms: number;
  /** When it was complete, in milliseconds of `performance.now()`. */
  readonly at: number;
}

export interface PreparedRequest {
  readonly bytes: string;
  readonly isSignedIn: boolean;
}

/** Returns a prepared request; keep-alive, without a body. */
export function prepareRequest(path: string, token?: string): PreparedRequest {
  const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
  return {
    bytes: `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n`,
    isSignedIn: token !== undefined,
  };
}

interface Pending {
  readonly request: PreparedRequest;
  readonly due: number;
}

export interface Generator {
  /** Sends requests on `connections` connections, each after the response to the last one. */
  closedLoop(connections: number, seconds: number): Promise<LoadAnswer[]>;
  /** Sends `rate` requests per second, whatever the server does. Resolves when each has its response, or has failed. */
  openLoop(rate: number, seconds: number): Promise<LoadAnswer[]>;
  close(): void;
}

/** A request without a response after this time has failed with the status 0. */
const deadlineMs = 10_000;

export function createGenerator(
  port: number,
  requests: readonly PreparedRequest[],
  maxConnections: number,
): Generator {
  const idle: Connection[] = [];
  const all = new Set<Connection>();
  let queue: Pending[] = [];
  let answers: LoadAnswer[] = [];
  let onAnswer: () => void = () => {};
  let next = 0;

  interface Connection {
    readonly socket: Socket;
    pending: Pending | undefined;
    received: string;
  }

  function open(): Connection {
    const socket = connect(port, '127.0.0.1').setNoDelay().setEncoding('latin1');
    const connection: Connection = { socket, pending: undefined, received: '' };
    socket.on('error', () => {});
    socket.on('close', () => {
      all.delete(connection);
      const at = idle.indexOf(connection);
      if (at >= 0) idle.splice(at, 1);
      if (connection.pending !== undefined) finish(connection, 0, false);
    });
    socket.on('data', (text: string) => {
      connection.received += text;
      const head = connection.received.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(connection.received)?.[1] ?? 0);
      if (connection.received.length < head + 4 + length) return;
      const status = Number(connection.received.slice(9, 12));
      const hasRetryAfter = /\r\nretry-after: \d+/i.test(connection.received.slice(0, head + 2));
      connection.received = '';
      finish(connection, status, hasRetryAfter);
    });
    all.add(connection);
    return connection;
  }

  function finish(connection: Connection, status: number, hasRetryAfter: boolean): void {
    const { pending } = connection;
    if (pending === undefined) return;
    connection.pending = undefined;
    const at = performance.now();
    answers.push({ status, hasRetryAfter, isSignedIn: pending.request.isSignedIn, ms: at - pending.due, at });
    if (all.has(connection)) {
      const waiting = queue.shift();
      if (waiting === undefined) idle.push(connection);
      else write(connection, waiting);
    }
    onAnswer();
  }

  function write(connection: Connection, pending: Pending): void {
    connection.pending = pending;
    connection.socket.write(pending.request.bytes);
  }

  function send(due: number): void {
    const request = requests[next % requests.length];
    next += 1;
    if (request === undefined) throw new Error('There is no request.');
    const connection = idle.pop() ?? (all.size < maxConnections ? open() : undefined);
    if (connection === undefined) queue.push({ request, due });
    else write(connection, { request, due });
  }

  function begin(): LoadAnswer[] {
    answers = [];
    queue = [];
    return answers;
  }

  return {
    async closedLoop(connections, seconds) {
      const made = begin();
      const until = performance.now() + seconds * 1000;
      onAnswer = () => {
        if (performance.now() < until) send(performance.now());
      };
      for (let sent = 0; sent < connections; sent += 1) send(performance.now());
      await delay(seconds * 1000);
      onAnswer = () => {};
      await delay(200);
      return made.filter(({ at }) => at <= until);
    },
    async openLoop(rate, seconds) {
      const made = begin();
      const total = Math.round(rate * seconds);
      const startedAt = performance.now();
      let sent = 0;
      while (sent < total) {
        for (
          let now = performance.now();
          sent < total && startedAt + (sent * 1000) / rate <= now;
          sent += 1
        ) {
          send(startedAt + (sent * 1000) / rate);
        }
        await delay(1);
      }
      const deadline = performance.now() + deadlineMs;
      while (made.length < total && performance.now() < deadline) await delay(10);
      // A connection that is destroyed fails its request.
      for (const { socket, pending } of all) if (pending !== undefined) socket.destroy();
      await delay(50);
      return made;
    },
    close() {
      for (const { socket } of all) socket.destroy();
    },
  };
}
