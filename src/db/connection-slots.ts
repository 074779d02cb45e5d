/**
 * Who may use a connection now, and who waits. There are as many slots as connections; a query or a transaction
 * takes one for as long as it runs, and those who find none wait in the order they came.
 *
 * The driver has a queue of its own, and could send several queries down one connection before the first has
 * answered. Waiting here is better in three ways: a query whose request has ended leaves the queue and is never
 * sent; a slow query holds up nobody behind it; and the number of the waiting is known.
 */

import type { WorkSignal } from '../observability/request-context.ts';

export interface SlotStats {
  readonly size: number;
  readonly inUse: number;
  readonly waiting: number;
}

export interface ConnectionSlots {
  /**
   * Takes a slot: at once, returning undefined, or later, returning a promise. The promise rejects with the signal's
   * reason if it is aborted first; then no slot was taken. Each slot taken must be released once.
   */
  take(signal: WorkSignal | undefined): Promise<void> | undefined;
  /** `isBroken`: its connection broke, and until it has closed the driver would send the next query down it. */
  release(isBroken?: boolean): void;
  stats(): SlotStats;
  /** Resolves when no slot is in use, or `deadlineMs` have passed. */
  drained(deadlineMs: number): Promise<void>;
}

/** A turn of the event loop, in which a connection that broke has closed. */
const closeMs = 1;

/**
 * A place in the line. Who gives up leaves it empty; the line is put in order when half of it is. It is no Set, whose table
 * is made anew every few changes: an old table, as long as it is not collected, holds what has waited in it.
 */
class Waiting {
  proceed: (() => void) | undefined;

  constructor(proceed: () => void) {
    this.proceed = proceed;
  }
}

export function createConnectionSlots(size: number): ConnectionSlots {
  let inUse = 0;
  let line: Waiting[] = [];
  /** Of those in the line, how many have not given up. */
  let waiting = 0;
  let onDrained: (() => void) | undefined;

  function free(): void {
    for (let first = line.shift(); first !== undefined; first = line.shift()) {
      if (first.proceed === undefined) continue;
      waiting -= 1;
      first.proceed(); // The slot goes from one to the next: the count stays.
      return;
    }
    inUse -= 1;
    if (inUse === 0) onDrained?.();
  }

  return {
    take(signal) {
      if (inUse < size) {
        inUse += 1;
        return undefined;
      }
      return new Promise((resolve, reject) => {
        const place = new Waiting(() => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
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
    release(isBroken = false) {
      if (isBroken) setTimeout(free, closeMs);
      else free();
    },
    stats: () => ({ size, inUse, waiting }),
    async drained(deadlineMs) {
      if (inUse === 0) return;
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
