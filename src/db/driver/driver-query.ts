/**
 * The undocumented parts of a postgres.js query that this folder depends on, in one place and checked at run time. A
 * query is a promise that does nothing until it is awaited. Then it passes itself to its `handler`, which sends it on a
 * connection; later the driver calls its `resolve` or `reject`. Code that replaces these three sees each query exactly
 * once, with its own promise. It does not see fragments, which are never awaited.
 */

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
  /** The texts between the values, and the values. The driver reads them when it sends the query. */
  strings: readonly string[];
  args: readonly unknown[];
  /** The statement with `$1` for a parameter. Set when it is sent. */
  readonly string?: string;
  /** The parameters in the form in which they are sent; undefined before the query is sent. */
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
    typeof value.active === 'boolean' &&
    'strings' in value &&
    Array.isArray(value.strings) &&
    'args' in value
  );
}

/** Returns the statement on one line, cut to 1,000 characters, with `$1` for a parameter. */
export function describeStatement(query: DriverQuery): string {
  return (query.string ?? '').replace(/\s+/g, ' ').trim().slice(0, 1000);
}

/**
 * Replaces the statement of a query that the driver has not sent yet by one without effect. The driver sends a query when its
 * connection is open, also if the caller no longer waits for it, and would never finish the opening without one.
 */
export function disarm(query: DriverQuery): void {
  query.strings = ['select 1'];
  query.args = [];
}
