/**
 * Which connection is free, and which query waits for one. A query or a transaction takes a connection for as long as it
 * runs. Those that find none free wait in their order.
 *
 * The connection that was used last is taken first, so that a pool opens no more connections than it needs at once.
 */

import type { WorkSignal } from '../observability/request-context.ts';

export interface SlotStats {
  readonly size: number;
  readonly inUse: number;
  readonly waiting: number;
}

export interface ConnectionSlots<Connection> {
  /**
   * Takes a connection: at once, or later, returning a promise. The promise rejects with the signal's reason if it is
   * aborted first; then no connection was taken. Each connection taken must be released once.
   */
  take(signal: WorkSignal | undefined): Connection | Promise<Connection>;
  /** Takes a connection if one is free and no other query waits for it. */
  takeFree(): Connection | undefined;
  release(connection: Connection): void;
  stats(): SlotStats;
  /** Resolves when no connection is in use, or `deadlineMs` have passed. */
  drained(deadlineMs: number): Promise<void>;
}

/**
 * A place in the line. A query that gives up leaves its place empty; the line is compacted when half of it is empty. It is no
 * Set, whose table is made anew every few changes: an old table, until it is collected, holds what has waited in it.
 */
class Waiting<Connection> {
  proceed: ((connection: Connection) => void) | undefined;

  constructor(proceed: (connection: Connection) => void) {
    this.proceed = proceed;
  }
}

export function createConnectionSlots<Connection extends object>(
  connections: readonly Connection[],
): ConnectionSlots<Connection> {
  const size = connections.length;
  /** The one that was used last is at the end. */
  const free = [...connections];
  let line: Waiting<Connection>[] = [];
  /** Of those in the line, how many have not given up. */
  let waiting = 0;
  let onDrained: (() => void) | undefined;

  return {
    take(signal) {
      const connection = free.pop();
      if (connection !== undefined) return connection;
      return new Promise((resolve, reject) => {
        const place = new Waiting<Connection>((released) => {
          signal?.removeEventListener('abort', giveUp);
          resolve(released);
        });
        const giveUp = () => {
          place.proceed = undefined;
          waiting -= 1;
          if (line.length > 2 * waiting) line = line.filter(({ proceed }) => proceed !== undefined);
          reject(signal?.reason);
        };
        line.push(place);
        waiting += 1;
        signal?.addEventListener('abort', giveUp, { once: true });
      });
    },
    takeFree: () => free.pop(),
    release(connection) {
      for (let first = line.shift(); first !== undefined; first = line.shift()) {
        if (first.proceed === undefined) continue;
        waiting -= 1;
        const { proceed } = first;
        first.proceed = undefined;
        proceed(connection);
        return;
      }
      free.push(connection);
      if (free.length === size) onDrained?.();
    },
    stats: () => ({ size, inUse: size - free.length, waiting }),
    async drained(deadlineMs) {
      if (free.length === size) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        onDrained = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}
