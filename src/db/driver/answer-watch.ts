/**
 * Finds connections whose peer is dead although nobody has said so: the network drops packets, a firewall has forgotten
 * the connection, a proxy stands still, the server's address has moved to another machine. TCP alone takes 15 minutes
 * to give such a connection up, and a statement timeout does not help, because its message does not arrive either.
 *
 *     statement sent, no byte for 1.5 s ──> asks PostgreSQL, on another connection, what the backend does
 *
 *       working                                    a slow statement: waits, and asks again later
 *       done (idle, waits for its client, gone)    twice in a row: the answer is lost ──> dead
 *       PostgreSQL cannot be reached               for 6 s  ──> dead
 *       unknown (behind a pooler)                  for longer than the limit of a statement ──> dead
 *
 * A dead connection is destroyed: what it was to answer rejects as if it had been reset, and the next statement opens a
 * new one. PostgreSQL is told to end the backend, so that its locks are free at once and not when the server notices.
 * A pool then also closes its idle connections that have been silent for as long (`database.ts`).
 *
 * Silence is counted in checks and not by the clock: in a process that was blocked or stopped, what has arrived
 * meanwhile is read between two checks. Statements read by cursor are not watched, as their reader may take its time.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { SendQuery } from '../sql.ts';
import type { BackendActivity } from './backend-activity.ts';
import type { DriverQuery } from './driver-query.ts';
import type { DriverSocket } from './driver-socket.ts';

export interface AnswerWatchOptions {
  readonly activity: BackendActivity;
  /** How long a statement outside of a transaction may take where nothing is known about it; undefined for no limit. */
  readonly limitMs?: number | undefined;
  /** Called for each connection that was given up. */
  readonly onDead?: ((dead: DeadConnection) => void) | undefined;
}

export interface DeadConnection {
  /** The process id of its backend. */
  readonly pid: number;
  readonly silentMs: number;
  readonly error: Error;
}

export interface AnswerWatch {
  /** Sends a query by `sendOn`, and watches for its answer. `alone`: it is in no transaction, as by default. */
  readonly send: (query: DriverQuery, sendOn: SendQuery, alone?: boolean) => void;
  /** To be told of each socket that the driver opens. */
  opened(socket: DriverSocket): void;
}

const checkMs = 500;
/** Checks without a byte before PostgreSQL is asked. */
const suspectChecks = 3;
/** Checks between two questions about a statement that is at work. */
const restChecks = 4;
/** Answers in a row that say `done`, so that an answer that is just arriving is not taken for a lost one. */
const doneInRow = 2;
const unreachableMs = 6_000;

/** A statement that waits for an answer. */
class Exchange {
  /** Kept until its backend is known; its result is not to be kept. */
  query: DriverQuery | undefined;
  /** The socket that was opened for it. */
  socket: DriverSocket | undefined;
  readonly isLimited: boolean;
  /** Its place among those under way; below 0 when it is over. */
  index = -1;
  #backend: object | undefined;

  constructor(query: DriverQuery, isLimited: boolean) {
    this.query = query;
    this.isLimited = isLimited;
  }

  /** What the driver knows of the connection: an object of its own for each of its connections. */
  get backend(): object | undefined {
    const state = this.query?.state;
    if (typeof state === 'object' && state !== null) this.#backend = state;
    return this.#backend;
  }
}

interface Silence {
  readonly exchange: Exchange;
  readonly bytesRead: number;
  checks: number;
  /** When the next question is due, in checks. */
  askAt: number;
  /** How often in a row the backend was `done`. */
  done: number;
}

/** The exchange for which a connection is being opened: the driver sends its statement first on it. */
const opening = new AsyncLocalStorage<Exchange>();

export function createAnswerWatch({ activity, limitMs, onDead }: AnswerWatchOptions): AnswerWatch {
  const exchanges = createExchanges();
  const sockets = new WeakMap<object, DriverSocket>();
  let silences = new Map<DriverSocket, Silence>();
  let isAsking = false;
  let timer: NodeJS.Timeout | undefined;

  function start(query: DriverQuery, isLimited: boolean): Exchange {
    const exchange = new Exchange(query, isLimited);
    exchanges.add(exchange);
    timer ??= setInterval(check, checkMs).unref();
    return exchange;
  }

  function end(exchange: Exchange): void {
    exchanges.remove(exchange);
    learn(exchange);
    exchange.query = undefined;
  }

  /** Notes which socket belongs to a connection of the driver, which is all that the driver's queries name. */
  function learn({ socket, backend }: Exchange): void {
    if (socket !== undefined && backend !== undefined) sockets.set(backend, socket);
  }

  function send(query: DriverQuery, sendOn: SendQuery, alone = true): void {
    const exchange = start(query, alone);
    const { resolve, reject } = query;
    query.resolve = (result) => {
      end(exchange);
      resolve(result);
    };
    query.reject = (error) => {
      end(exchange);
      reject(error);
    };
    opening.run(exchange, sendOn, query);
  }

  function check(): void {
    if (exchanges.all.length === 0) {
      clearInterval(timer);
      timer = undefined;
      silences.clear();
      return;
    }
    const before = silences;
    silences = new Map();
    for (const exchange of [...exchanges.all]) {
      learn(exchange);
      const { backend, query } = exchange;
      const socket = backend === undefined ? undefined : sockets.get(backend);
      // The driver settles what was on it, or has lost it.
      if (socket?.destroyed === true) exchanges.remove(exchange);
      if (socket === undefined || socket.destroyed || query?.cursorFn !== undefined) continue;
      silences.set(socket, continued(before.get(socket), exchange, socket.bytesRead));
    }
    const suspects = [...silences].filter(([, silence]) => silence.checks >= silence.askAt);
    if (suspects.length > 0 && !isAsking) void examine(suspects);
  }

  async function examine(suspects: readonly (readonly [DriverSocket, Silence])[]): Promise<void> {
    isAsking = true;
    const pids = suspects.map(([, { exchange }]) => pidOf(exchange));
    const activityOf = await activity.ask(pids).catch(() => undefined);
    isAsking = false;
    const dead: number[] = [];
    for (const [socket, silence] of suspects) {
      // It has answered meanwhile.
      if (!silences.has(socket) || silences.get(socket) !== silence) continue;
      if (socket.bytesRead !== silence.bytesRead || silence.exchange.index < 0) continue;
      const reason = judge(silence, activityOf);
      if (reason === undefined) continue;
      const silentMs = silence.checks * checkMs;
      const pid = pidOf(silence.exchange);
      const error = Object.assign(
        new Error(
          `The connection to the database is dead: no answer came for ${silentMs} ms, and ${reason}.`,
        ),
        { code: 'ETIMEDOUT' },
      );
      onDead?.({ pid, silentMs, error });
      socket.destroy(error);
      dead.push(pid);
    }
    if (dead.length > 0 && activityOf !== undefined) await activity.end(dead);
  }

  /** Why the connection is dead; undefined if it is not, or not yet. */
  function judge(
    silence: Silence,
    activityOf: Awaited<ReturnType<BackendActivity['ask']>> | undefined,
  ): string | undefined {
    const silentMs = silence.checks * checkMs;
    if (activityOf === undefined) {
      return silentMs >= unreachableMs ? 'the database cannot be reached' : undefined;
    }
    const found = activityOf(pidOf(silence.exchange));
    silence.done = found === 'done' ? silence.done + 1 : 0;
    if (silence.done >= doneInRow) return 'PostgreSQL waits for nothing but this client';
    if (found !== 'done') silence.askAt = silence.checks + restChecks;
    const isOverLimit = silence.exchange.isLimited && limitMs !== undefined && silentMs > limitMs;
    return found === 'unknown' && isOverLimit ? `${limitMs} ms are the limit` : undefined;
  }

  return {
    send,
    opened(socket) {
      const exchange = opening.getStore();
      if (exchange === undefined || exchange.socket?.destroyed === false) return;
      exchange.socket = socket;
      learn(exchange);
    },
  };
}

/**
 * The exchanges under way. An array in which the last one takes the place of one that is removed, and no Set: the old
 * tables of a Set hold what was in it, and with it the result of each query, until the old generation is collected.
 */
function createExchanges() {
  const all: Exchange[] = [];
  return {
    all,
    add(exchange: Exchange): void {
      exchange.index = all.push(exchange) - 1;
    },
    remove(exchange: Exchange): void {
      const { index } = exchange;
      const last = index < 0 ? undefined : all.pop();
      exchange.index = -1;
      if (last === undefined || last === exchange) return;
      last.index = index;
      all[index] = last;
    },
  };
}

function continued(before: Silence | undefined, exchange: Exchange, bytesRead: number): Silence {
  if (before?.exchange !== exchange || before.bytesRead !== bytesRead) {
    return { exchange, bytesRead, checks: 0, askAt: suspectChecks, done: 0 };
  }
  before.checks += 1;
  return before;
}

function pidOf({ backend }: Exchange): number {
  return backend !== undefined && 'pid' in backend && typeof backend.pid === 'number' ? backend.pid : 0;
}
