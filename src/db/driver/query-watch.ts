/**
 * The life of a query after it was sent, inside a transaction or outside:
 *
 *     sent ──> answered: its caller has the result or the error ──> over: PostgreSQL is ready for the next query
 *       │                                                             │
 *       ├─ its request ends: the caller gets the signal's reason,     └──> no cancel request pending; reset ──> free
 *       │  PostgreSQL is asked to cancel the query
 *       └─ the same while its connection is being opened: `select 1` is sent instead of it
 *
 * - Most queries are answered and over at the same moment. The driver answers some of them earlier: those that fail in
 *   this process, the description of a statement, COPY, a cursor that is closed early. It settles them again when they
 *   are over.
 * - The connection is free (`onFree`) when no cancel request can hit the next query, and no transaction is open: see
 *   `cancellation.ts` and `PoolConnection.reset`. A query that succeeds waits for neither.
 * - A statement outside of `transaction` that starts one, such as `begin`, rejects, and the connection is rolled back:
 *   the next query, which may belong to another request, must not run in its transaction.
 * - The driver's errors are translated. A slow query is logged, and every query is if the operator enables it.
 * - Each is published for tracers (`query-trace.ts`).
 *
 * The sockets live outside of any request, so PostgreSQL's responses arrive in no request's context. Therefore the log
 * lines written here name their request themselves.
 */

import { AppError } from '../../errors.ts';
import type { LogFields, Logger } from '../../observability/logger.ts';
import { idFields, type RequestContext, type WorkSignal } from '../../observability/request-context.ts';
import type { QueryTarget } from '../../observability/trace-channels.ts';
import { endsConnection, isConnectionError, sqlState, toDatabaseError } from '../database-error.ts';
import { splitStatements } from '../migrations/split-statements.ts';
import { openQuerySpan } from '../query-trace.ts';
import { Cancellation } from './cancellation.ts';
import { guardCursor } from './cursor-guard.ts';
import { type DriverQuery, describeStatement, disarm } from './driver-query.ts';
import { lockWaitOf } from './lock-wait.ts';
import type { PoolConnection } from './pool-connection.ts';
import { nameStatement } from './repair-queries.ts';

export interface QueryWatchOptions {
  readonly log: Logger;
  readonly statementTimeoutMs: number;
  /** A query that took longer is logged as `slow.query`. */
  readonly slowQueryMs: number;
  /** Whether every query is logged at INFO. Otherwise it is logged at DEBUG. */
  readonly echo: boolean;
  /** Called for each query that PostgreSQL has completed, also with an error. */
  readonly onAnswer: () => void;
  /** Named in the spans of the queries. */
  readonly target: QueryTarget;
}

export interface WatchedQuery {
  readonly query: DriverQuery;
  readonly connection: PoolConnection;
  /** The request that the query belongs to, for the log. */
  readonly request: RequestContext | undefined;
  /** Cancels the query when aborted. */
  readonly signal: WorkSignal | undefined;
  /** Whether the query is outside of a transaction. */
  readonly autocommit: boolean;
  /** Called with the caller's error if the query fails. */
  readonly onFailed?: (error: unknown) => void;
  /** Called once when the connection is free, with the error of the driver or undefined. */
  readonly onFree: (error: unknown) => void;
}

export type WatchQuery = (watched: WatchedQuery) => void;

export function createQueryWatch(options: QueryWatchOptions): WatchQuery {
  const { log, statementTimeoutMs, slowQueryMs, echo, target, onAnswer } = options;
  const logsEach = echo ? log.enabled('INFO') : log.enabled('DEBUG');

  return function watchQuery({ query, connection, request, signal, autocommit, onFailed, onFree }) {
    // The caller cancelled it while it waited for the connection: the driver would neither send nor settle it.
    if (query.cancelled) return onFree(undefined);
    const { resolve, reject } = query;
    const startedAt = performance.now();
    let isAnswered = false;
    let isOver = false;
    let cancellation: Cancellation | undefined;
    const span = openQuerySpan(target);
    const cursor = query.cursorFn === undefined ? undefined : guardCursor(query, () => isAnswered);

    const end = (reason: unknown) => {
      if (isOver || cancellation !== undefined) return;
      reject(reason);
      if (connection.withdraw(query)) {
        span?.end(query, undefined, reason);
        return finish(undefined);
      }
      cursor?.close();
      if (query.state === null) return disarm(query);
      cancellation = new Cancellation(query, connection, log);
    };
    const abort = () => end(signal?.reason);
    const answer = (result: unknown, error: unknown) => {
      if (isAnswered) return;
      isAnswered = true;
      span?.end(query, result, error);
      const durationMs = performance.now() - startedAt;
      if (logsEach || durationMs > slowQueryMs) report(durationMs, result, error);
    };
    const finish = (error: unknown) => {
      isOver = true;
      signal?.removeEventListener('abort', abort);
      // If the query was never sent, its connection could not be opened.
      const isBroken = endsConnection(error) || (error !== undefined && query.state === null);
      if (isBroken) connection.discard(error);
      else {
        connection.done(query);
        onAnswer();
      }
      const mayBeInTransaction =
        !isBroken &&
        autocommit &&
        error !== undefined &&
        (query.options.simple === true || error === beginError);
      if (cancellation === undefined && !mayBeInTransaction) onFree(error);
      else void release(error, mayBeInTransaction);
    };
    const release = async (error: unknown, mayBeInTransaction: boolean) => {
      await cancellation?.finish();
      // In a transaction, the rollback has the same effect.
      if (autocommit && connection.driver !== undefined)
        await connection.reset(mayBeInTransaction && sqlState(error) === undefined);
      onFree(error);
    };
    const report = (durationMs: number, result: unknown, error: unknown) => {
      const fields: LogFields = {
        ...(request === undefined ? {} : idFields(request)),
        duration_ms: Math.round(durationMs * 10) / 10,
        query: describeStatement(query),
        ...(Array.isArray(result) ? { rows: result.length } : {}),
        ...(error === undefined ? {} : { failed: sqlState(error) ?? true }),
      };
      if (durationMs > slowQueryMs) log.warning('slow.query', { ...fields, ...lockFields(query) });
      else if (echo) log.info('database.query', fields);
      else log.debug('database.query', fields);
    };

    let clientError: unknown;
    /** Set when a statement outside of `transaction` has started one. */
    let beginError: Error | undefined;
    query.resolve = (result) => {
      if (isOver) return;
      const isEarly = !isAnswered && (!Array.isArray(result) || isClosedCursor(query, result));
      if (autocommit && !isEarly && startsTransaction(query, result)) beginError = new Error(beginMessage);
      answer(result, beginError);
      if (!isEarly) finish(beginError ?? clientError);
      if (beginError !== undefined) reject(beginError);
      else if (cursor === undefined) resolve(result);
      else cursor.drained().then(() => resolve(result), reject);
    };
    query.reject = (error) => {
      if (isOver) return;
      const timedOut = statementTimeoutMs > 0 && performance.now() - startedAt >= statementTimeoutMs;
      const translated = toDatabaseError(error, timedOut);
      if (translated === error) nameStatement(error, query);
      answer(undefined, error);
      onFailed?.(translated);
      if (failedInClient(query, error)) clientError = error;
      else finish(error);
      reject(translated);
    };

    signal?.addEventListener('abort', abort, { once: true });
    // The driver's own canceller would release the connection before the cancel request is over.
    query.canceller = async () => end(cancelledByCaller());
    if (span === undefined) connection.send(query, autocommit);
    else span.send(() => connection.send(query, autocommit));
  };
}

function cancelledByCaller(): AppError {
  return new AppError('database_unavailable', 'The database query was cancelled by its caller.');
}

const beginMessage =
  'A statement outside of transaction() started a transaction, which was rolled back: use transaction() instead of sending BEGIN. Anything that the statement committed itself remains.';

/**
 * Whether a completed query started a transaction. The command tag of a single statement shows that. For several
 * statements in one text the driver keeps only the last tag, so the text is parsed.
 */
function startsTransaction(query: DriverQuery, result: unknown): boolean {
  if (typeof result === 'object' && result !== null && 'command' in result && isBeginTag(result.command)) {
    return true;
  }
  const text = query.string ?? '';
  if (query.options.simple !== true || !/begin|start/i.test(text)) return false;
  return splitStatements(text).some((statement) => /^(?:begin|start)\b/i.test(statement.text));
}

function isBeginTag(command: unknown): boolean {
  return command === 'BEGIN' || command === 'START TRANSACTION';
}

/** Whether the driver reports a closed cursor. It resolves the query again when PostgreSQL is ready. */
function isClosedCursor(query: DriverQuery, result: unknown[]): boolean {
  return query.cursorFn !== undefined && 'command' in result && result.command === null;
}

/**
 * Whether a sent query failed in this process: a value that cannot be serialised, a row that cannot be parsed, a
 * callback that threw. PostgreSQL continues with it.
 */
function failedInClient(query: DriverQuery, error: unknown): boolean {
  return query.state !== null && sqlState(error) === undefined && !isConnectionError(error);
}

/** Returns the lock that a slow statement waited for, and the sessions that held it; nothing if it waited for none. */
function lockFields(query: DriverQuery): LogFields {
  const wait = lockWaitOf(query);
  return wait === undefined ? {} : { lock: wait.lock, lock_holders: wait.holders };
}
