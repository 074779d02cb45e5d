/**
 * What this folder relies on in a query of postgres.js beyond its documented interface, in one place and checked
 * while running. A query is a promise that does nothing until it is awaited; then it hands itself to its `handler`,
 * which sends it on a connection, and later the driver calls its `resolve` or `reject`. Whoever replaces these three
 * sees every query exactly once, with its own promise, and fragments, which are never awaited, not at all.
 *
 * The package's version is pinned exactly, and `connectDatabase` refuses to work with a driver of another shape.
 */

export interface DriverQuery {
  /** Sends the query. Called by the query itself, once, when it is first awaited. */
  handler: (query: DriverQuery) => void;
  resolve: (result: unknown) => void;
  reject: (reason: unknown) => void;
  /** Whether it is running in PostgreSQL now. */
  readonly active: boolean;
  /** The connection it was sent on; null before. */
  readonly state: unknown;
  /** Asks PostgreSQL to end the query, over a connection of its own. */
  readonly canceller: ((query: DriverQuery) => Promise<void>) | null;
  /** The statement with `$1` where parameters stand; set when it is sent. */
  readonly string?: string;
  /** The parameters as they were sent; set when it is sent. */
  parameters?: unknown;
  /** Why the driver sends it once more by itself: PostgreSQL had to forget the statement it had prepared. */
  retried?: unknown;
  /** Set when rows are handed out while they arrive. */
  readonly forEachFn?: unknown;
  readonly cursorFn?: unknown;
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
 * When the driver sends a query once more by itself, it takes the texts that it has made of the values for values: `true`
 * would become `f`, and JSON a text in JSON. With this its queries, of which one is given, start from the values again. It
 * changes their prototype, once for all of them: a property that each query defines for itself makes it slow.
 */
export function repeatFromValues(query: DriverQuery): void {
  const prototype: unknown = Object.getPrototypeOf(query);
  if (typeof prototype !== 'object' || prototype === null || 'retried' in prototype) return;
  Object.defineProperty(prototype, 'retried', {
    get(this: { readonly [retryReason]?: unknown }) {
      return this[retryReason];
    },
    set(this: { [retryReason]?: unknown; parameters: unknown }, error: unknown) {
      this[retryReason] = error;
      this.parameters = null;
    },
  });
}
