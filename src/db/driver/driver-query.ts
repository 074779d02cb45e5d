/**
 * The undocumented parts of a postgres.js query that this folder depends on, in one place and checked at run time. A
 * query is a promise that does nothing until it is awaited. Then it passes itself to its `handler`, which sends it on a
 * connection; later the driver calls its `resolve` or `reject`. Code that replaces these three sees each query exactly
 * once, with its own promise. It does not see fragments, which are never awaited.
 */

import { repairCursors } from './cursor-guard.ts';

export interface DriverQuery {
  /** Sends the query. The query calls it once, when it is first awaited. */
  handler: (query: DriverQuery) => void;
  resolve: (result: unknown) => void;
  reject: (reason: unknown) => void;
  /** Whether it runs in PostgreSQL now. Its own `resolve` and `reject` set it to false. */
  active: boolean;
  /** The driver's state of the connection it was sent on; null before. */
  readonly state: unknown;
  /** `simple`: the statement is sent as plain text, and may contain several statements. */
  readonly options: { readonly simple?: boolean };
  /** Called by the query's `cancel`. The driver's own asks PostgreSQL on another connection to cancel the query. */
  canceller: ((query: DriverQuery) => Promise<void>) | null;
  /**
   * Set when the query was cancelled before it was sent. It has been rejected then, and the driver does not send it.
   */
  readonly cancelled?: unknown;
  /** The statement with `$1` for a parameter. Set when it is sent. */
  readonly string?: string;
  /** The parameters as sent. Set when it is sent. */
  parameters?: unknown;
  /** Why the driver repeats it: PostgreSQL rejected the prepared statement as outdated. */
  retried?: unknown;
  /** Called with each batch of rows if the query is read by cursor. */
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
 * Fixes three bugs of the driver for all of its queries, by properties of their common prototype. `query` is any query.
 * Properties that each query defines for itself would make every query slow.
 *
 * - `retried`: when the driver repeats a query, it uses the serialised texts of the values as values: `true` would
 *   become `f`, and JSON a string in JSON. Setting `parameters` to null makes it serialise the values again.
 * - `forEachFn`: the driver stores each row at the index of a counter of the connection, and resets the counter only
 *   when a statement completes. A statement that fails after its first rows (an error in a later row, a cancellation, a
 *   connection that breaks) leaves the counter as it is, and the next result on that connection starts with as many
 *   holes. A query with a function for its rows does not use the counter, so every query gets one that appends the row
 *   to its result.
 * - `cursor`: see `cursor-guard.ts`. `close` is the driver's object that closes a cursor.
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
    // Writable, because `.forEach(handler)` assigns its handler.
    forEachFn: { value: appendRow, writable: true },
  });
  repairCursors(prototype, close);
}

/** An assignment, because `push` is slower on the driver's subclass of Array. */
function appendRow(row: unknown, result: unknown[]): void {
  result[result.length] = row;
}
