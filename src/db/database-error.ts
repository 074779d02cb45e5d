/**
 * What the driver throws, in the words of the rest of the program. Failures that say something about the database
 * or the input become an AppError; everything else, such as a broken unique constraint, stays a PostgresError with
 * its SQLSTATE for the feature that knows what it means. Codes: PostgreSQL, Appendix A.
 */

import postgres from 'postgres';
import { AppError, type ErrorCode, reasonOf } from '../errors.ts';

type DatabaseCode = Extract<ErrorCode, `database_${string}`>;

/** What a client is told for each code: a sentence, and after how many seconds to try again. */
const refusals = {
  database_unavailable: ['The database cannot be reached at the moment: try again shortly.', 1],
  database_timeout: ['The database took too long to answer: try again later.', 5],
  database_busy: ['Other requests change the same data at the moment: try again.', 1],
  database_read_only: ['The database takes no changes at the moment: try again shortly.', 5],
  database_impaired: ['The database lacks what it needs to do this: try again later.', 10],
} as const satisfies Partial<Record<DatabaseCode, readonly [detail: string, retryAfterSeconds: number]>>;

/** The code for a SQLSTATE, by the first pattern that fits. What is not here is a fault of ours, or for a feature. */
const codesByState: readonly (readonly [pattern: RegExp, code: keyof typeof refusals])[] = [
  // Connection exceptions, refused logins, no such database, full, starting or stopping.
  [/^(?:08...|28...|3D000|53300|57000|57P0[1-5])$/, 'database_unavailable'],
  // Deadlocks, serialisation failures, a lock that was not free in time.
  [/^(?:40000|40001|40003|40P01|55P03)$/, 'database_busy'],
  // A standby, such as the former primary after a failover.
  [/^25006$/, 'database_read_only'],
  // Disk full, out of memory, other resources, faults of its machine.
  [/^(?:53...|58000|58030)$/, 'database_impaired'],
];

/** Codes of Node and the driver that say the connection could not be opened, or broke. */
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
 * PostgreSQL ends the connection after an error of this severity, or has not let it begin: `allow_connections` is false
 * (55000), the role may not connect (42501), a transaction was idle for too long (25P03).
 */
function isFatal(error: postgres.PostgresError): boolean {
  return error.severity === 'FATAL' || error.severity === 'PANIC';
}

/** States that only a connection can meet that is being opened. The second ones, if they are fatal. */
const refusedState = /^(?:08001|08004|28...|3D000|53300|57P03)$/;
const fatallyRefusedState = /^(?:08P01|0A000|22023|42501|42704|55000)$/;
const refusedCodes = new Set<unknown>([
  ...['CONNECT_TIMEOUT', 'ECONNREFUSED', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
  ...['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EMFILE', 'EACCES', 'ENOENT', 'SASL_SIGNATURE_MISMATCH'],
]);

/** Whether a connection broke, or could not be opened, so that nothing more can be sent on it. */
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

/** Whether PostgreSQL or the network has ended the connection that the error came from. */
export function endsConnection(error: unknown): boolean {
  return error instanceof postgres.PostgresError ? isFatal(error) : isConnectionError(error);
}

/** Whether an error says that the database cannot be used at all now, whoever said so: the driver, or this program. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'database_unavailable';
  return isConnectionError(error) || codeOf(error) === 'database_unavailable';
}

/** The code for what PostgreSQL reported; undefined if it is none of these. */
function codeOf(error: unknown): keyof typeof refusals | undefined {
  if (!(error instanceof postgres.PostgresError)) return undefined;
  if (isFatal(error)) return 'database_unavailable';
  if (isOutdatedPlan(error)) return 'database_busy';
  return codesByState.find(([pattern]) => pattern.test(error.code))?.[1];
}

/** A prepared statement whose columns have another type since a migration. Prepared again, it works. */
function isOutdatedPlan(error: postgres.PostgresError): boolean {
  return error.code === '0A000' && error.routine === 'RevalidateCachedQuery';
}

/** Whether an error says that the database cannot do its work in full: it is read-only, or lacks disk or memory. */
export function isImpaired(error: unknown): boolean {
  const code = error instanceof AppError ? error.code : codeOf(error);
  return code === 'database_impaired' || code === 'database_read_only';
}

/**
 * Whether an error says that a query was never run, because no connection to the database could be had: it is away,
 * starting, or full. A connection that broke may have run it, or may have broken because of it. Only an AppError is
 * looked into: a bare ECONNREFUSED may be of any server.
 */
export function isConnectionRefused(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== 'database_unavailable') return false;
  const { cause } = error;
  if (cause instanceof postgres.PostgresError) {
    return refusedState.test(cause.code) || (isFatal(cause) && fatallyRefusedState.test(cause.code));
  }
  return cause instanceof Error && 'code' in cause && refusedCodes.has(cause.code);
}

/** What an operator has to know and to do, as a sentence, for an error that says the database cannot be used. */
export function describeUnavailable({ message, cause }: AppError): string {
  const reason = reasonOf(cause ?? message);
  if (/before secure TLS connection was established/.test(reason)) {
    return `The database does not speak TLS, which the sslmode of APP_DATABASE_URL requires: switch it on in PostgreSQL, or correct the URL (${reason}).`;
  }
  return sqlState(cause) === undefined
    ? `The database does not answer: start it, or correct APP_DATABASE_URL (${reason}).`
    : `The database takes no connection: mend what it says, or correct APP_DATABASE_URL (${reason}).`;
}

/** The five characters of SQLSTATE, if PostgreSQL reported the error, also if it was translated since. */
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
 * Whether a transaction failed only because of others at the same time, and may do better when it is done again: a
 * serialisation failure, a deadlock, or a statement that was prepared before a migration.
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'database_busy' && isTransient(error.cause);
  if (!(error instanceof postgres.PostgresError)) return false;
  return error.code === '40001' || error.code === '40P01' || isOutdatedPlan(error);
}

/** Whether someone asked PostgreSQL to end the query. The same code stands for a passed statement timeout. */
export function isCancelled(error: unknown, timedOut: boolean): boolean {
  return sqlState(error) === '57014' && !isStatementTimeout(error, timedOut);
}

/** The message tells the two apart, but in the language of the server; the time that has passed tells it in any. */
function isStatementTimeout(error: unknown, timedOut: boolean): boolean {
  return timedOut || (error instanceof Error && error.message.includes('statement timeout'));
}

/** The error to throw for what the driver threw. `timedOut`: the statement timeout had passed by then. */
export function toDatabaseError(cause: unknown, timedOut: boolean): unknown {
  if (cause instanceof AppError) return cause;
  if (isUnavailable(cause)) return databaseError('database_unavailable', cause);
  const state = sqlState(cause);
  if (state === '57014') {
    return isStatementTimeout(cause, timedOut)
      ? databaseError('database_timeout', cause)
      : databaseError('database_unavailable', cause, 'The database query was cancelled: try again.');
  }
  if (state === '22021' || state === '22P05') {
    return new AppError(
      'validation_failed',
      'A text holds a character that cannot be stored: remove NUL (U+0000) characters.',
      { cause },
    );
  }
  const code = codeOf(cause);
  return code === undefined ? cause : databaseError(code, cause);
}

function databaseError(
  code: keyof typeof refusals,
  cause: unknown,
  detail: string = refusals[code][0],
): AppError {
  return new AppError(code, detail, { cause, headers: { 'retry-after': String(refusals[code][1]) } });
}
