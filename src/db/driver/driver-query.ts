/**
 * What this folder relies on in a query of postgres.js beyond its documented interface, in one place and checked
 * while running. A query is a promise that does nothing until it is awaited; then it hands itself to its `handler`,
 * which sends it on a connection, and later the driver calls its `resolve` or `reject`. Whoever replaces these three
 * sees every query exactly once, with its own promise, and fragments, which are never awaited, not at all.
 */

import { repairCursors } from './cursor-guard.ts';

export interface DriverQuery {
  /** Sends the query. Called by the query itself, once, when it is first awaited. */
  handler: (query: DriverQuery) => void;
  resolve: (result: unknown) => void;
  reject: (reason: unknown) => void;
  /** Whether it is running in PostgreSQL now. Its own `resolve` and `reject` set it to false. */
  active: boolean;
  /** The connection it was sent on; null before. */
  readonly state: unknown;
  /** `simple`: the statement is sent as text alone, and may be several. */
  readonly options: { readonly simple?: boolean };
  /** Called by the query's `cancel`. The driver's own asks PostgreSQL to end the query, over a connection of its own. */
  canceller: ((query: DriverQuery) => Promise<void>) | null;
  /** Set when the query was cancelled before it was sent. It has rejected then, and the driver does not send it. */
  readonly cancelled?: unknown;
  /** The statement with `$1` where parameters stand; set when it is sent. */
  readonly string?: string;
  /** The parameters as they were sent; set when it is sent. */
  parameters?: unknown;
  /** Why the driver sends it once more by itself: PostgreSQL had to forget the statement it had prepared. */
  retried?: unknown;
  /** Called with each batch of rows, if the query is read by cursor. */
  cursorFn?: (rows: unknown) => unknown;
}

/** Whether a value that the driver's tag returned is a query, and not a helper such as an identifier. */
export function isDriverQuery(value: unknown): value is DriverQuery {
  return (
    value instanceof Promise &&
    'handler' in value &&
    typeof value.handler === 'function' &&
    'canceller' in value &&
    'state' in value &&
    'resolve' in value &&
    typeof value.resolve === 'function' &&
    'reject' in value &&
    typeof value.reject === 'function' &&
    'active' in value &&
    typeof value.active === 'boolean'
  );
}

const retryReason = Symbol('retryReason');

/**
 * Repairs three faults of the driver for all of its queries, by properties of their common prototype. `query` is any of
 * them. Properties that each query defines for itself would make every query slow.
 *
 * - `retried`: when the driver repeats a query by itself, it takes the texts that it has made of the values for values:
 *   `true` would become `f`, and JSON a text in JSON. Setting `parameters` to null makes it start from the values again.
 * - `forEachFn`: the driver puts each row at the place of a counter that belongs to the connection, and it resets the
 *   counter only when a statement completes. A statement that fails after its first rows (an error in a later row, a
 *   cancellation, a connection that breaks) leaves the counter where it is, and the next result on that connection
 *   begins with as many holes. A query with a function for its rows does not use the counter, so every query gets one:
 *   it appends the row to the result that the row belongs to.
 * - `cursor`: see `cursor-guard.ts`. `close` is what closes a cursor.
 */
export function repairQueries(query: DriverQuery, close: unknown): void {
  const prototype: unknown = Object.getPrototypeOf(query);
  if (typeof prototype !== 'object' || prototype === null || 'retried' in prototype) return;
  Object.defineProperties(prototype, {
    retried: {
      get(this: { readonly [retryReason]?: unknown }) {
        return this[retryReason];
      },
      set(this: { [retryReason]?: unknown; parameters: unknown }, error: unknown) {
        this[retryReason] = error;
        this.parameters = null;
      },
    },
    // Writable, because `.forEach(handler)` sets it to its handler.
    forEachFn: { value: appendRow, writable: true },
  });
  repairCursors(prototype, close);
}

/** Not `push`, which is slower on the driver's subclass of Array. */
function appendRow(row: unknown, result: unknown[]): void {
  result[result.length] = row;
}
