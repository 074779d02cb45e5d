/**
 * What the driver throws, in the words of the rest of the program. Failures that say something about the database
 * or the input become an AppError; everything else, such as a broken unique constraint, stays a PostgresError with
 * its SQLSTATE for the feature that knows what it means. Codes: PostgreSQL, Appendix A.
 */

import postgres from 'postgres';
import { AppError } from '../errors.ts';

const retryLater = { 'retry-after': '1' };

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

/** The same said by PostgreSQL: connection exceptions, refused logins, no such database, full, starting or stopping. */
const unavailableState = /^(?:08...|28...|3D000|53300|57P0[1-5])$/;

/** Those of them that only a connection can meet that is being opened. */
const refusedState = /^(?:08001|08004|28...|3D000|53300|57P03)$/;
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

/** Whether an error says that the database cannot be used at all now, whoever said so: the driver, or this program. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof AppError) return error.code === 'database_unavailable';
  const state = sqlState(error);
  return isConnectionError(error) || (state !== undefined && unavailableState.test(state));
}

/**
 * Whether an error says that a query was never run, because no connection to the database could be had: it is away,
 * starting, or full. A connection that broke may have run it, or may have broken because of it. Only an AppError is
 * looked into: a bare ECONNREFUSED may be of any server.
 */
export function isConnectionRefused(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== 'database_unavailable') return false;
  const { cause } = error;
  const state = sqlState(cause);
  if (state !== undefined) return refusedState.test(state);
  return cause instanceof Error && 'code' in cause && refusedCodes.has(cause.code);
}

/** What an operator has to know and to do, as a sentence, for an error that says the database cannot be used. */
export function describeUnavailable({ message, cause }: AppError): string {
  const reason = (cause instanceof Error ? cause.message : message).replace(/\.$/, '');
  return sqlState(cause) === undefined
    ? `The database does not answer: start it, or correct APP_DATABASE_URL (${reason}).`
    : `The database takes no connection: mend what it says, or correct APP_DATABASE_URL (${reason}).`;
}

/** The five characters of SQLSTATE, if PostgreSQL reported the error. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof postgres.PostgresError ? error.code : undefined;
}

/** Whether two transactions stood in each other's way, and one of them may simply be tried again. */
export function isSerialisationFailure(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01';
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
  const state = sqlState(cause);
  if (isUnavailable(cause)) {
    return new AppError(
      'database_unavailable',
      'The database cannot be reached at the moment: try again shortly.',
      {
        cause,
        headers: retryLater,
      },
    );
  }
  if (state === '57014') {
    return isStatementTimeout(cause, timedOut)
      ? new AppError('database_timeout', 'The database took too long to answer: try again later.', { cause })
      : new AppError('database_unavailable', 'The database query was cancelled: try again.', {
          cause,
          headers: retryLater,
        });
  }
  if (state === '22021' || state === '22P05') {
    return new AppError(
      'validation_failed',
      'A text holds a character that cannot be stored: remove NUL (U+0000) characters.',
      { cause },
    );
  }
  return cause;
}
