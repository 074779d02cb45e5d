/**
 * Finds connections whose peer is dead although no packet reports it: the network drops packets, a firewall forgot the
 * connection, a proxy hangs, the server's address moved to another machine. TCP alone needs 15 minutes to give such a
 * connection up, and a statement timeout does not help, because its message does not arrive either.
 *
 *     statement sent, no byte for 1.5 s ──> ask PostgreSQL, on another connection, what the backend is doing
 *
 *       working                                      a slow statement: wait, and ask again later
 *       done (idle, waiting for its client, gone)    twice in a row: the response is lost ──> dead
 *       PostgreSQL cannot be reached                 for 6 s ──> dead
 *       unknown (behind a pooler)                    for longer than the limit of a statement ──> dead
 *
 * A dead connection is destroyed: its statement rejects as after a connection reset, and the next statement opens a new
 * connection. The kernel must not deliver the statement afterwards (`DriverSocket.reset`). The backend is terminated as well, so its locks are free at once and not when the server notices the dead
 * peer. A pool also closes its idle connections that have been silent for as long (`database.ts`).
 *
 * The silent time is counted in checks and not by the clock: when the process was blocked or stopped, the bytes that arrived
 * meanwhile are read between two checks. Statements read by cursor are not watched, because their reader may be slow.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import type { SendQuery } from '../sql.ts';
import type { BackendActivity } from './backend-activity.ts';
import type { DriverQuery } from './driver-query.ts';
import type { DriverSocket } from './driver-socket.ts';
import { type LockWaits, recordLockWait } from './lock-wait.ts';

export interface AnswerWatchOptions {
  readonly activity: BackendActivity;
  /** How long a statement in autocommit mode may take if the state of its backend is unknown. undefined: no limit. */
  readonly limitMs?: number | undefined;
  /** Finds the lock that a slow statement waits for. Default: no statement is asked about. */
  readonly lockWaits?: LockWaits | undefined;
  /** A statement that takes longer is slow. Default: none is. */
  readonly slowMs?: number | undefined;
  /** Called at each check, every 500 ms, while a statement has received no byte since the check before. */
  readonly onSilent?: (() => void) | undefined;
  /** Called for each connection that was given up. */
  readonly onDead?: ((dead: DeadConnection) => void) | undefined;
}

export interface DeadConnection {
  /** The process id of the backend. */
  readonly pid: number;
  readonly silentMs: number;
  readonly error: Error;
}

export interface AnswerWatch {
  /**
   * Sends a query through `sendOn` and watches for its response. `autocommit` is false inside a transaction; default:
   * true.
   */
  readonly send: (query: DriverQuery, sendOn: SendQuery, autocommit?: boolean) => void;
  /** Call it with each socket that the driver opens. */
  opened(socket: DriverSocket): void;
}

const checkMs = 500;
/** After this many checks without a received byte, PostgreSQL is asked about the statement. */
const suspectChecks = 3;
/** The number of checks between two questions about a statement that PostgreSQL still executes. */
const restChecks = 4;
/** How many consecutive answers `done` make a connection dead. One is not enough, because the response may just be arriving. */
const doneInRow = 2;
const unreachableMs = 6_000;

/** A statement that waits for its response. */
class Exchange {
  /** Undefined when the backend is known: keeping the query would keep its result in memory. */
  query: DriverQuery | undefined;
  /** The socket that the driver opened to send the statement; undefined if it used an open connection. */
  socket: DriverSocket | undefined;
  readonly isAutocommit: boolean;
  /** Its index in the array of running exchanges; -1 before and after. */
  index = -1;
  /** The number of checks at which its connection was not open yet. */
  unopened = 0;
  #backend: object | undefined;

  constructor(query: DriverQuery, isAutocommit: boolean) {
    this.query = query;
    this.isAutocommit = isAutocommit;
  }

  /** The driver's state object of the connection that has the statement. Each connection has one such object. */
  get backend(): object | undefined {
    const state = this.query?.state;
    if (typeof state === 'object' && state !== null) this.#backend = state;
    return this.#backend;
  }
}

interface SilentExchange {
  readonly exchange: Exchange;
  readonly bytesRead: number;
  checks: number;
  /** The check at which the next question is due. */
  askAt: number;
  /** How many answers in a row were `done`. */
  done: number;
}

/** The exchange for which a connection is being opened. The driver sends its statement first on the new connection. */
const opening = new AsyncLocalStorage<Exchange>();

export function createAnswerWatch({
  activity,
  limitMs,
  lockWaits,
  slowMs = Number.POSITIVE_INFINITY,
  onSilent,
  onDead,
}: AnswerWatchOptions): AnswerWatch {
  /** The number of checks without a byte after which a statement will be slow at the next one. */
  const slowChecks = Math.max(1, Math.floor(slowMs / checkMs) - 1);
  const exchanges = createExchanges();
  const sockets = new WeakMap<object, DriverSocket>();
  let silentSockets = new Map<DriverSocket, SilentExchange>();
  let isAsking = false;
  let timer: NodeJS.Timeout | undefined;

  function start(query: DriverQuery, isAutocommit: boolean): Exchange {
    const exchange = new Exchange(query, isAutocommit);
    exchanges.add(exchange);
    timer ??= setInterval(check, checkMs).unref();
    return exchange;
  }

  function end(exchange: Exchange): void {
    exchanges.remove(exchange);
    learn(exchange);
    exchange.query = undefined;
  }

  /** Records which socket belongs to a connection of the driver: the driver's queries name only the connection. */
  function learn({ socket, backend }: Exchange): void {
    if (socket !== undefined && backend !== undefined) sockets.set(backend, socket);
  }

  function send(query: DriverQuery, sendOn: SendQuery, autocommit = true): void {
    const exchange = start(query, autocommit);
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
      silentSockets.clear();
      return;
    }
    const before = silentSockets;
    silentSockets = new Map();
    let isSilent = false;
    for (const exchange of [...exchanges.all]) {
      learn(exchange);
      const { backend, query } = exchange;
      const socket = backend === undefined ? undefined : sockets.get(backend);
      // The driver rejects its statement, or has lost it.
      if (socket?.destroyed === true) exchanges.remove(exchange);
      if (socket === undefined) {
        if (exchange.unopened > 0) isSilent = true;
        exchange.unopened += 1;
      }
      if (socket === undefined || socket.destroyed || query?.cursorFn !== undefined) continue;
      const silent = continued(before.get(socket), exchange, socket.bytesRead);
      silentSockets.set(socket, silent);
      if (silent.checks > 0) isSilent = true;
      const slowFor = silent.checks - slowChecks;
      if (slowFor >= 0 && slowFor % restChecks === 0) void findLock(exchange);
    }
    if (isSilent) onSilent?.();
    const suspects = [...silentSockets].filter(([, silent]) => silent.checks >= silent.askAt);
    if (suspects.length > 0 && !isAsking) void examine(suspects);
  }

  async function findLock(exchange: Exchange): Promise<void> {
    const wait = await lockWaits?.find(pidOf(exchange));
    if (wait !== undefined && exchange.query !== undefined) recordLockWait(exchange.query, wait);
  }

  async function examine(suspects: readonly (readonly [DriverSocket, SilentExchange])[]): Promise<void> {
    isAsking = true;
    const pids = suspects.map(([, { exchange }]) => pidOf(exchange));
    const activityOf = await activity.ask(pids).catch(() => undefined);
    isAsking = false;
    const dead: number[] = [];
    for (const [socket, silent] of suspects) {
      // The response arrived while PostgreSQL was asked.
      if (!silentSockets.has(socket) || silentSockets.get(socket) !== silent) continue;
      if (socket.bytesRead !== silent.bytesRead || silent.exchange.index < 0) continue;
      const reason = judge(silent, activityOf);
      if (reason === undefined) continue;
      const silentMs = silent.checks * checkMs;
      const pid = pidOf(silent.exchange);
      const error = deadConnectionError(
        `The connection to the database is dead: no response arrived for ${silentMs} ms, and ${reason}.`,
      );
      onDead?.({ pid, silentMs, error });
      // A transaction that is closed without a reset is rolled back also by a server that sends no keepalive probes.
      if (silent.exchange.isAutocommit) socket.reset(error);
      else socket.destroy(error);
      dead.push(pid);
    }
    if (dead.length > 0 && activityOf !== undefined) await activity.end(dead);
  }

  /** Returns why the connection is dead; undefined if it is alive or this is not known yet. */
  function judge(
    silent: SilentExchange,
    activityOf: Awaited<ReturnType<BackendActivity['ask']>> | undefined,
  ): string | undefined {
    const silentMs = silent.checks * checkMs;
    if (activityOf === undefined) {
      return silentMs >= unreachableMs ? 'the database cannot be reached' : undefined;
    }
    const found = activityOf(pidOf(silent.exchange));
    silent.done = found === 'done' ? silent.done + 1 : 0;
    if (silent.done >= doneInRow) return 'PostgreSQL is waiting for this client';
    if (found !== 'done') silent.askAt = silent.checks + restChecks;
    const isOverLimit = silent.exchange.isAutocommit && limitMs !== undefined && silentMs > limitMs;
    return found === 'unknown' && isOverLimit ? `the limit is ${limitMs} ms` : undefined;
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
 * Creates the list of running exchanges. It is an array in which the last element replaces a removed one, and not a Set: a Set
 * that grows or shrinks leaves its old table to the garbage collector, and that table keeps the results of finished queries.
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

function continued(
  before: SilentExchange | undefined,
  exchange: Exchange,
  bytesRead: number,
): SilentExchange {
  if (before?.exchange !== exchange || before.bytesRead !== bytesRead) {
    return { exchange, bytesRead, checks: 0, askAt: suspectChecks, done: 0 };
  }
  before.checks += 1;
  return before;
}

function deadConnectionError(message: string): Error {
  return Object.assign(new Error(message), { code: 'ETIMEDOUT', errno: 'ETIMEDOUT' });
}

function pidOf({ backend }: Exchange): number {
  return backend !== undefined && 'pid' in backend && typeof backend.pid === 'number' ? backend.pid : 0;
}
