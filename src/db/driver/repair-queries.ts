import postgres from 'postgres';
import { repairCursors } from './cursor-guard.ts';
import { type DriverQuery, describeStatement } from './driver-query.ts';

const retryReason = Symbol('retryReason');

/**
 * Fixes four bugs of the driver for all of its queries, by properties of their common prototype. `query` is any query.
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
 * - `reserve`: when a query fails, the driver reads the stacks of the error and of the place that wrote the query, although hardly
 *   any is ever seen. The first stack costs a tenth of a second (`log/redact.ts`), while all requests wait. It reads none for a
 *   query with `reserve`, which it otherwise asks for before it sends the query, and for an error with `parameters`, such as a
 *   rejected connection. For a connection that cannot be opened, it reads the stack of Node's error and `origin`. The stacks would not name the place anyway: they are cut after the frames of the driver.
 */
export function repairQueries(query: DriverQuery, close: unknown): void {
  const prototype: unknown = Object.getPrototypeOf(query);
  if (typeof prototype !== 'object' || prototype === null || 'retried' in prototype) return;
  Object.defineProperty(postgres.PostgresError.prototype, 'parameters', { value: undefined, writable: true });
  Object.defineProperties(prototype, {
    origin: { value: '' },
    reserve: {
      get(this: DriverQuery) {
        return this.state === null ? undefined : true;
      },
    },
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

/**
 * Makes the stack of an error of PostgreSQL name the statement, without the values of its parameters. All frames of that stack are in the
 * driver.
 */
export function nameStatement(error: unknown, query: DriverQuery): void {
  if (!(error instanceof postgres.PostgresError)) return;
  error.stack = `${error.name}: ${error.message}\n    at the statement: ${describeStatement(query)}`;
}

/** An assignment, because `push` is slower on the driver's subclass of Array. */
function appendRow(row: unknown, result: unknown[]): void {
  result[result.length] = row;
}
