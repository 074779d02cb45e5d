/**
 * Which connection is free, and which query waits for one. A query or a transaction takes a connection for as long as it
 * runs. Those that find none free wait in their order, until their request ends.
 *
 *     take ──one is free──> in use ──release──> the first that waits, or free
 *       └─none──> line is full? ──yes──> refused at once (503 `overloaded`)
 *                     └─no──> waits ──longer than the limit──> refused
 *
 * A line that may grow without bound helps nobody: the requests at its end are answered when their clients have given
 * up, and meanwhile each holds memory. So the newest is refused when the line is full.
 *
 * The connection that was used last is taken first, so that a pool opens no more connections than it needs at once.
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

export interface SlotLimits {
  /** How many may wait at once; without limit unless given. */
  readonly maxWaiting?: number | undefined;
  /** How long each may wait, in milliseconds; without limit unless given. */
  readonly maxWaitMs?: number | undefined;
}

export interface ConnectionSlots<Connection> {
  /**
   * Takes a connection: at once, or later, returning a promise. The promise rejects with the signal's reason if it is
   * aborted first, and with the AppError `overloaded` if the limits are reached; then no connection was taken. Each
   * connection taken must be released once.
   */
  take(signal: WorkSignal | undefined): Connection | Promise<Connection>;
  /** Takes a connection if one is free. */
  takeFree(): Connection | undefined;
  release(connection: Connection): void;
  /** The connections that are not in use now. */
  free(): readonly Connection[];
  stats(): SlotStats;
  /** How many were refused so far because of the limits. */
  refused(): number;
  /** Resolves when no connection is in use, or `deadlineMs` have passed. */
  drained(deadlineMs: number): Promise<void>;
}

/**
 * A place in the line. A query that gives up leaves its place empty; the line is compacted when half of it is empty. It is no
 * Set, whose table is made anew every few changes: an old table, until it is collected, holds what has waited in it.
 */
class Waiting<Connection> {
  proceed: ((connection: Connection) => void) | undefined;
  readonly reject: () => void;
  /** When it is refused, by the monotonic clock. */
  readonly until: number;

  constructor(proceed: (connection: Connection) => void, reject: () => void, until: number) {
    this.proceed = proceed;
    this.reject = reject;
    this.until = until;
  }
}

export function createConnectionSlots<Connection extends object>(
  connections: readonly Connection[],
  { maxWaiting = Number.POSITIVE_INFINITY, maxWaitMs }: SlotLimits = {},
): ConnectionSlots<Connection> {
  const size = connections.length;
  /** The one that was used last is at the end. */
  const free = [...connections];
  let line: Waiting<Connection>[] = [];
  /** Of those in the line, how many have not given up. */
  let waiting = 0;
  let refused = 0;
  /** Set while there is a line: the first one is the first whose time is over. */
  let timer: NodeJS.Timeout | undefined;
  let onDrained: (() => void) | undefined;

  function rejectLate(): void {
    timer = undefined;
    const now = performance.now();
    for (let first = line[0]; first !== undefined; first = line[0]) {
      if (first.proceed !== undefined && first.until > now) {
        timer = setTimeout(rejectLate, Math.ceil(first.until - now));
        return;
      }
      line.shift();
      if (first.proceed !== undefined) first.reject();
    }
  }

  function reject(): AppError {
    refused += 1;
    return new AppError('overloaded', 'Too many requests wait for the database: try again shortly.', {
      headers: { 'retry-after': '1' },
    });
  }

  function wait(signal: WorkSignal | undefined): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        place.proceed = undefined;
        waiting -= 1;
        signal?.removeEventListener('abort', giveUp);
      };
      const place = new Waiting<Connection>(
        (connection) => {
          leave();
          resolve(connection);
        },
        () => {
          leave();
          reject(reject());
        },
        maxWaitMs === undefined ? 0 : performance.now() + maxWaitMs,
      );
      const giveUp = () => {
        leave();
        if (line.length > 2 * waiting) line = line.filter(({ proceed }) => proceed !== undefined);
        reject(signal?.reason);
      };
      line.push(place);
      waiting += 1;
      signal?.addEventListener('abort', giveUp, { once: true });
      if (maxWaitMs !== undefined) timer ??= setTimeout(rejectLate, maxWaitMs);
    });
  }

  return {
    take(signal) {
      const connection = free.pop();
      if (connection !== undefined) return connection;
      return waiting < maxWaiting ? wait(signal) : Promise.reject(reject());
    },
    takeFree: () => free.pop(),
    free: () => [...free],
    release(connection) {
      for (let first = line.shift(); first !== undefined; first = line.shift()) {
        if (first.proceed === undefined) continue;
        first.proceed(connection);
        return;
      }
      clearTimeout(timer);
      timer = undefined;
      free.push(connection);
      if (free.length === size) onDrained?.();
    },
    stats: () => ({ size, inUse: size - free.length, waiting }),
    refused: () => refused,
    async drained(deadlineMs) {
      if (free.length === size) return;
      const drained = createDeferred();
      onDrained = drained.resolve;
      await withTimeout(drained.promise, deadlineMs, () => {});
    },
  };
}
