/**
 * Fixes reading by cursor. The driver calls a function with each batch of rows, and requests the next batch when the
 * promise of that function resolves. Three things go wrong in the driver:
 *
 * - A query can fail while the function works on a batch, because its connection breaks or its request ends. The driver
 *   would still request the next batch, in the middle of the query that uses the connection by then.
 * - The driver does not wait for the function after the last batch. If it rejects then, the process exits.
 * - The driver's own iterator replaces `resolve` and `reject` of the query for each batch, so the pool never learns
 *   that the query is over; and a query that fails between two batches finishes the loop as if there were no more rows.
 */

import { createDeferred } from '../../concurrency/deferred.ts';
import type { DriverQuery } from './driver-query.ts';

export interface CursorGuard {
  /** Closes the cursor before the next batch. */
  close(): void;
  /** Resolves when the function has returned from the last batch. Rejects with its error. */
  drained(): Promise<void>;
}

/** The driver's object that the function returns to close the cursor. */
let closing: unknown;

/** Wraps the function of a query that is about to be sent. `isAnswered`: whether its caller already has the outcome. */
export function guardCursor(query: DriverQuery, isAnswered: () => boolean): CursorGuard {
  const { cursorFn: onBatch } = query;
  let isClosing = false;
  let close = () => {};
  let last: Promise<unknown> = Promise.resolve();

  query.cursorFn = (rows) => {
    last = Promise.resolve(isClosing || isAnswered() ? closing : onBatch?.(rows));
    const proceeding = new Promise((resolve, reject) => {
      close = () => resolve(closing);
      // The driver requests nothing while the promise is pending.
      last.then(
        (value) => {
          if (!isAnswered()) resolve(isClosing ? closing : value);
        },
        (error: unknown) => {
          if (!isAnswered()) reject(error);
        },
      );
    });
    proceeding.catch(() => {});
    return proceeding;
  };
  return {
    close() {
      isClosing = true;
      close();
    },
    drained: async () => void (await last),
  };
}

/**
 * Gives the queries of a prototype an iterator that uses the function for batches. `close`: the driver's closing
 * object.
 */
export function repairCursors(prototype: object, close: unknown): void {
  closing = close;
  const startReading: unknown = Reflect.get(prototype, 'cursor');
  if (typeof startReading !== 'function') throw new Error('The driver has no cursors.');
  Object.defineProperty(prototype, 'cursor', {
    value(this: PromiseLike<unknown>, size: unknown = 1, onBatch?: unknown) {
      if (typeof size === 'function' || typeof onBatch === 'function') {
        return Reflect.apply(startReading, this, [size, onBatch]);
      }
      return {
        [Symbol.asyncIterator]: () => batches((take) => Reflect.apply(startReading, this, [size, take])),
      };
    },
  });
}

type TakeBatch = (rows: unknown) => Promise<unknown>;

async function* batches(read: (take: TakeBatch) => PromiseLike<unknown>): AsyncGenerator<unknown, void> {
  let next = createDeferred<{ readonly rows: unknown }>();
  let proceed = (_close?: unknown) => {};
  const over = Promise.resolve(
    read((rows) => {
      next.resolve({ rows });
      const handled = createDeferred<unknown>();
      proceed = handled.resolve;
      return handled.promise;
    }),
  ).then(() => undefined);
  // A rejection while the caller works on a batch is delivered when the caller requests the next one.
  over.catch(() => {});
  try {
    for (;;) {
      const arrived = await Promise.race([next.promise, over]);
      if (arrived === undefined) return;
      next = createDeferred();
      yield arrived.rows;
      proceed();
    }
  } finally {
    proceed(closing);
  }
}
