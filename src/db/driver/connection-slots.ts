/**
 * Assigns the connections of a pool. A query or a transaction acquires a connection for as long as it runs. When none
 * is free, it waits in a first-in, first-out queue until its request ends.
 *
 *     acquire ──one is free──> in use ──release──> the first waiter, or free
 *       └─none──> queue full? ──yes──> rejected at once (503 `overloaded`)
 *                     └─no──> waits ──longer than maxWaitMs──> rejected
 *
 * The queue is bounded: in an endless queue, the last requests are answered after their clients have given up, and each
 * of them uses memory until then. When the queue is full, the newest waiter is rejected.
 *
 * The most recently used connection is acquired first, so that a pool opens no more connections than it needs at a
 * time. A connection that broke, or could not be opened, is acquired last: when PostgreSQL accepts no further connections,
 * queries use the open ones.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { AppError } from '../../errors.ts';
import type { WorkSignal } from '../../observability/request-context.ts';

export interface SlotStats {
  readonly size: number;
  readonly inUse: number;
  readonly waiting: number;
}

export interface SlotOptions<Connection> {
  /** Whether a connection is open. Free ones that are open are acquired before the others. Default: all are. */
  readonly isOpen?: ((connection: Connection) => boolean) | undefined;
  /** How many may wait at a time. Default: no limit. */
  readonly maxWaiting?: number | undefined;
  /** How long each may wait, in milliseconds. Default: no limit. */
  readonly maxWaitMs?: number | undefined;
}

export interface ConnectionSlots<Connection> {
  /**
   * Acquires a connection: at once, or later through a promise. The promise rejects with the signal's reason if that is
   * aborted first, and with the AppError `overloaded` if a limit is reached; then no connection was acquired. Release
   * each acquired connection once.
   */
  acquire(signal: WorkSignal | undefined): Connection | Promise<Connection>;
  /** Acquires a connection if one is free. */
  tryAcquire(): Connection | undefined;
  release(connection: Connection): void;
  /** Rejects everything that waits with the error, which `createError` makes for each. */
  rejectWaiting(createError: () => AppError): void;
  /** Returns the connections that are not in use now. */
  free(): readonly Connection[];
  stats(): SlotStats;
  /** Returns how long the first in the queue has waited, in milliseconds; 0 if none waits, or without `maxWaitMs`. */
  oldestWaitMs(): number;
  /** Returns how many were rejected because of the limits. */
  refused(): number;
  /** Resolves when no connection is in use, or after `deadlineMs`. */
  drained(deadlineMs: number): Promise<void>;
}

/**
 * A place in the queue. A query that gives up leaves its place empty, and the queue is compacted when half of it is
 * empty. It is no Set, because a Set replaces its table every few changes, and an old table keeps its waiters until it
 * is collected.
 */
class Waiter<Connection> {
  proceed: ((connection: Connection) => void) | undefined;
  readonly reject: (error: AppError) => void;
  /** When it is rejected, by the monotonic clock. */
  readonly deadline: number;

  constructor(
    proceed: (connection: Connection) => void,
    reject: (error: AppError) => void,
    deadline: number,
  ) {
    this.proceed = proceed;
    this.reject = reject;
    this.deadline = deadline;
  }
}

export function createConnectionSlots<Connection extends object>(
  connections: readonly Connection[],
  { isOpen = () => true, maxWaiting = Number.POSITIVE_INFINITY, maxWaitMs }: SlotOptions<Connection> = {},
): ConnectionSlots<Connection> {
  const size = connections.length;
  /** The most recently used connection is the last one. */
  const free = [...connections];
  let queue: Waiter<Connection>[] = [];
  /** The number of places that are not empty. */
  let waiting = 0;
  let refused = 0;
  /** Set while the queue is not empty: the first waiter is also the first whose time is over. */
  let timer: NodeJS.Timeout | undefined;
  let onDrained: (() => void) | undefined;

  function rejectLate(): void {
    timer = undefined;
    const now = performance.now();
    for (let first = queue[0]; first !== undefined; first = queue[0]) {
      if (first.proceed !== undefined && first.deadline > now) {
        timer = setTimeout(rejectLate, Math.ceil(first.deadline - now));
        return;
      }
      queue.shift();
      if (first.proceed !== undefined) first.reject(createOverloadError());
    }
  }

  function createOverloadError(): AppError {
    refused += 1;
    return new AppError('overloaded', 'Too many requests wait for the database: try again shortly.', {
      headers: { 'retry-after': '1' },
    });
  }

  function wait(signal: WorkSignal | undefined): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiter.proceed = undefined;
        waiting -= 1;
        signal?.removeEventListener('abort', giveUp);
      };
      const waiter = new Waiter<Connection>(
        (connection) => {
          leave();
          resolve(connection);
        },
        (error) => {
          leave();
          reject(error);
        },
        maxWaitMs === undefined ? 0 : performance.now() + maxWaitMs,
      );
      const giveUp = () => {
        leave();
        if (queue.length > 2 * waiting) queue = queue.filter(({ proceed }) => proceed !== undefined);
        reject(signal?.reason);
      };
      queue.push(waiter);
      waiting += 1;
      signal?.addEventListener('abort', giveUp, { once: true });
      if (maxWaitMs !== undefined) timer ??= setTimeout(rejectLate, maxWaitMs);
    });
  }

  return {
    acquire(signal) {
      const connection = free.pop();
      if (connection !== undefined) return connection;
      return waiting < maxWaiting ? wait(signal) : Promise.reject(createOverloadError());
    },
    tryAcquire: () => free.pop(),
    free: () => [...free],
    release(connection) {
      for (let first = queue.shift(); first !== undefined; first = queue.shift()) {
        if (first.proceed === undefined) continue;
        first.proceed(connection);
        return;
      }
      clearTimeout(timer);
      timer = undefined;
      if (isOpen(connection)) free.push(connection);
      else free.unshift(connection);
      if (free.length === size) onDrained?.();
    },
    rejectWaiting(createError) {
      const waiters = queue;
      queue = [];
      clearTimeout(timer);
      timer = undefined;
      for (const waiter of waiters) if (waiter.proceed !== undefined) waiter.reject(createError());
    },
    stats: () => ({ size, inUse: size - free.length, waiting }),
    oldestWaitMs() {
      const first = waiting === 0 ? undefined : queue.find(({ proceed }) => proceed !== undefined);
      return first === undefined || maxWaitMs === undefined
        ? 0
        : Math.max(0, performance.now() - (first.deadline - maxWaitMs));
    },
    refused: () => refused,
    async drained(deadlineMs) {
      if (free.length === size) return;
      const drained = createDeferred();
      onDrained = drained.resolve;
      await withTimeout(drained.promise, deadlineMs, () => {});
    },
  };
}
