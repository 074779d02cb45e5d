/**
 * Translates errors of the driver into those of the program. A failure of the database or an invalid input becomes an
 * AppError; everything else, such as a unique violation, stays a PostgresError with its SQLSTATE, because only the
 * feature that sent the statement knows what it means. Codes: PostgreSQL, Appendix A.
 */

import postgres from 'postgres';
import { AppError, type ErrorCode, reasonOf } from '../errors.ts';

type DatabaseCode = Extract<ErrorCode, `database_${string}`>;

/** The problem detail for each code, and the seconds of its Retry-After header. */
const problems = {
  database_unavailable: ['The database cannot be reached at the moment: try again shortly.', 1],
  database_timeout: ['The database took too long to answer: try again later.', 5],
  database_busy: ['Other requests are changing the same data: try again.', 1],
  database_read_only: ['The database is read-only at the moment: try again shortly.', 5],
  database_impaired: ['The database cannot do this at the moment: try again later.', 10],
} as const satisfies Partial<Record<DatabaseCode, readonly [detail: string, retryAfterSeconds: number]>>;

/** Maps SQLSTATE to a code; the first match counts. A state that is missing is a bug, or has a meaning to a feature. */
const codesByState: readonly (readonly [pattern: RegExp, code: keyof typeof problems])[] = [
  // Connection exceptions, rejected logins, a missing database, too many connections, starting or stopping.
  [/^(?:08...|28...|3D000|53300|57000|57P0[1-5])$/, 'database_unavailable'],
  // Deadlocks, serialisation failures, a lock that did not become free in time.
  [/^(?:40000|40001|40003|40P01|55P03)$/, 'database_busy'],
  // A standby, such as the former primary after a failover.
  [/^25006$/, 'database_read_only'],
  // Disk full, out of memory, other resources, I/O errors.
  [/^(?:53...|58000|58030)$/, 'database_impaired'],
];

/** Error codes of Node and the driver for a connection that could not be opened, or broke. */
const connectionCodes = new Set([
  ...[
    'CONNECTION_CLOSED',
    'CONNECTION_DESTROYED',
    'CONNECTION_ENDED',
    'CONNECT_TIMEOUT',
    'SASL_SIGNATURE_MISMATCH',
  ],
  ...[
    'ECONNREFUSED',
    'ECONNRESET',
    'ECONNABORTED',
    'EPIPE',
    'ETIMEDOUT',
    'EHOSTUNREACH',
    'EHOSTDOWN',
    'ENETUNREACH',
  ],
  ...[
    'ENETDOWN',
    'EADDRNOTAVAIL',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EACCES',
    'ENOENT',
    'EMFILE',
    'ERR_STREAM_DESTROYED',
  ],
]);

/**
 * Whether PostgreSQL closes the connection after the error, or refused to open it: `allow_connections` is false
 * (55000), the role may not connect (42501), a transaction was idle for too long (25P03).
 */
function isFatal(error: postgres.PostgresError): boolean {
  return error.severity === 'FATAL' || error.severity === 'PANIC';
}

/** States that occur only while a connection is opened; those of the second pattern only with severity FATAL. */
const connectFailureState = /^(?:08001|08004|28...|3D000|53300|57P03)$/;
const fatalConnectFailureState = /^(?:08P01|0A000|22023|42501|42704|55000)$/;
const connectFailureCodes = new Set<unknown>([
  ...['CONNECT_TIMEOUT', 'ECONNREFUSED', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
  ...['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EMFILE', 'EACCES', 'ENOENT', 'SASL_SIGNATURE_MISMATCH'],
]);

/** Whether a connection broke or could not be opened, so that nothing can be sent on it. */
export function isConnectionError(error: unknown): boolean {
  return (
    error instanceof Error &&
    !(error instanceof postgres.PostgresError) &&
    'code' in error &&
    typeof error.code === 'string' &&
    (connectionCodes.has(error.code) ||
      /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)/.test(error.code))
  );
}

/** Whether PostgreSQL or the network has closed the connection that the error came from. */
export function endsConnection(error: unknown): boolean {
  return error instanceof postgres.PostgresError ? isFatal(error) : isConnectionError(error);
}

/** Whether the error means that the database cannot be used at all now. Accepts driver errors and AppErrors. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'database_unavailable';
  return isConnectionError(error) || codeOf(error) === 'database_unavailable';
}

/** Returns the code for an error of PostgreSQL, or undefined if none of them applies. */
function codeOf(error: unknown): keyof typeof problems | undefined {
  if (!(error instanceof postgres.PostgresError)) return undefined;
  if (isFatal(error)) return 'database_unavailable';
  if (isOutdatedPlan(error)) return 'database_busy';
  return codesByState.find(([pattern]) => pattern.test(error.code))?.[1];
}

/** A prepared statement whose columns changed their type in a migration. It works when it is prepared again. */
function isOutdatedPlan(error: postgres.PostgresError): boolean {
  return error.code === '0A000' && error.routine === 'RevalidateCachedQuery';
}

/** Whether the error means that the database is read-only, or lacks disk or memory. */
export function isImpaired(error: unknown): boolean {
  const code = error instanceof AppError ? error.code : codeOf(error);
  return code === 'database_impaired' || code === 'database_read_only';
}

/**
 * Whether a query certainly never ran, because no connection could be opened: the database is away, starting, or full.
 * A connection that broke later may have run the query, or may have broken because of it. Only an AppError is examined:
 * a bare ECONNREFUSED may belong to any server.
 */
export function isConnectFailure(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== 'database_unavailable') return false;
  const { cause } = error;
  if (cause instanceof postgres.PostgresError) {
    return (
      connectFailureState.test(cause.code) || (isFatal(cause) && fatalConnectFailureState.test(cause.code))
    );
  }
  return cause instanceof Error && 'code' in cause && connectFailureCodes.has(cause.code);
}

/**
 * Returns a sentence for operators about a database that cannot be used: what happened, and what to do about it. `namedBy`
 * is the variable with its URL, as in `DATABASE_URL in the environment`.
 */
export function describeUnavailable({ message, cause }: AppError, namedBy = 'APP_DATABASE_URL'): string {
  const reason = reasonOf(cause ?? message);
  if (/before secure TLS connection was established/.test(reason)) {
    return `The database does not speak TLS, which the sslmode of ${namedBy} requires: switch it on in PostgreSQL, or correct the URL (${reason}).`;
  }
  return sqlState(cause) === undefined
    ? `The database does not answer: start it, or correct ${namedBy} (${reason}).`
    : `The database accepts no connection: fix the cause, or correct ${namedBy} (${reason}).`;
}

/** Returns the SQLSTATE if PostgreSQL reported the error, also after its translation to an AppError. */
export function sqlState(error: unknown): string | undefined {
  if (error instanceof AppError)
    return error.code.startsWith('database_') ? sqlState(error.cause) : undefined;
  return error instanceof postgres.PostgresError ? error.code : undefined;
}

/**
 * Returns the name of the constraint that a statement violated (SQLSTATE class 23), or undefined for any other error. The
 * constraint is in the table, where no race can bypass it; the feature that owns the table knows what its name means.
 */
export function violatedConstraint(error: unknown): string | undefined {
  if (!sqlState(error)?.startsWith('23')) return undefined;
  if (!(error instanceof Error) || !('constraint_name' in error)) return undefined;
  return typeof error.constraint_name === 'string' ? error.constraint_name : undefined;
}

/**
 * Whether a transaction failed only because of concurrent transactions, and may succeed when it is run again: a
 * serialisation failure, a deadlock, or a statement that was prepared before a migration.
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'database_busy' && isTransient(error.cause);
  if (!(error instanceof postgres.PostgresError)) return false;
  return error.code === '40001' || error.code === '40P01' || isOutdatedPlan(error);
}

/**
 * Whether a query with code 57014 ran into the statement timeout instead of being cancelled. PostgreSQL distinguishes the
 * two only in the message, which may be in any language, so the elapsed time counts as well.
 */
function isStatementTimeout(error: unknown, timedOut: boolean): boolean {
  return timedOut || (error instanceof Error && error.message.includes('statement timeout'));
}

/** Returns the error to throw for an error of the driver. `timedOut`: the statement timeout had passed by then. */
export function toDatabaseError(cause: unknown, timedOut: boolean): unknown {
  if (cause instanceof AppError) return cause;
  if (isUnavailable(cause)) return toAppError('database_unavailable', cause);
  const state = sqlState(cause);
  if (state === '57014') {
    return isStatementTimeout(cause, timedOut)
      ? toAppError('database_timeout', cause)
      : toAppError('database_unavailable', cause, 'The database query was cancelled: try again.');
  }
  if (state === '22021' || state === '22P05') {
    return new AppError(
      'validation_failed',
      'A text contains a character that cannot be stored: remove NUL (U+0000) characters.',
      { cause },
    );
  }
  const code = codeOf(cause);
  return code === undefined ? cause : toAppError(code, cause);
}

/** Returns the error of a query that is not sent, because the circuit of the database is open. */
export function circuitOpenError(retryAfterMs: number): AppError {
  return new AppError('database_unavailable', problems.database_unavailable[0], {
    headers: { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) },
  });
}

function toAppError(
  code: keyof typeof problems,
  cause: unknown,
  detail: string = problems[code][0],
): AppError {
  return new AppError(code, detail, { cause, headers: { 'retry-after': String(problems[code][1]) } });
}
