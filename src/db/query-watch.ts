/**
 * What happens to a query between being sent and being settled, in a transaction or out of one:
 *
 * - When its request ends (`signal`), its promise rejects at once with the signal's reason, and PostgreSQL is asked
 *   to cancel it. The connection is free again only when PostgreSQL has answered: `onSettled` says so.
 * - The driver settles some queries before PostgreSQL is ready for the next one: those that fail in this process, the
 *   description of a statement, COPY, a cursor that is closed early. Their callers get the answer at once, and the
 *   connection is free when the driver settles them for the second time.
 * - A cancellation travels on a connection of its own, and may arrive when its query is over and the connection
 *   already serves the next. Such a query, cancelled though its own request lives, is sent once more if it stands
 *   alone: PostgreSQL has undone it. In a transaction the whole would have to be repeated, which is for its owner to
 *   say. What an operator cancels with `pg_cancel_backend` is reported, unless it falls into the same second.
 * - A query that was refused although it never was sent is sent once more, and one that the driver has lost rejects.
 * - What the driver throws is translated, a slow query is logged, and every query is if the operator asks for it.
 *
 * The connections' sockets live outside of any request: what PostgreSQL answers arrives in no request's context, so
 * the log lines written here name their request themselves.
 */

import { AsyncResource } from 'node:async_hooks';
import type { LogFields, Logger } from '../observability/logger.ts';
import type { RequestContext, WorkSignal } from '../observability/request-context.ts';
import { isCancelled, isConnectionError, sqlState, toDatabaseError } from './database-error.ts';
import type { Driver } from './driver.ts';
import { type DriverQuery, streamsRows } from './driver-query.ts';
import type { SendQuery } from './intercept.ts';
import type { LostQueries } from './lost-queries.ts';

export interface QueryWatchOptions {
  readonly log: Logger;
  readonly statementTimeoutMs: number;
  /** A query that took longer is logged as `slow.query`. */
  readonly slowQueryMs: number;
  /** Every query is logged at INFO; without it, at DEBUG. */
  readonly echo: boolean;
  readonly lostQueries: LostQueries;
  /** How the driver sends a query and watches for its answer. */
  readonly sendOn: Driver['send'];
}

export interface WatchedQuery {
  readonly query: DriverQuery;
  readonly send: SendQuery;
  /** The request it works for, named in the log. */
  readonly request: RequestContext | undefined;
  /** Ends the query when aborted. */
  readonly signal: WorkSignal | undefined;
  /** Whether it stands alone, outside of a transaction. */
  readonly alone: boolean;
  /** Called once, when the connection is done with the query, with what the driver threw or undefined. */
  readonly onSettled: (error: unknown) => void;
}

export type WatchQuery = (watched: WatchedQuery) => void;

/** How long after PostgreSQL took a cancellation it may still take effect. */
const strayCancellationMs = 1000;

/** Makes the function that sends queries and watches them. Call it outside of any request. */
export function createQueryWatch({
  log,
  statementTimeoutMs,
  slowQueryMs,
  echo,
  lostQueries,
  sendOn,
}: QueryWatchOptions): WatchQuery {
  const sendOutsideOfRequests = AsyncResource.bind(sendOn);
  const logsEach = echo ? log.enabled('INFO') : log.enabled('DEBUG');

  /** When a cancellation of ours was last on its way. */
  let cancelledAt = Number.NEGATIVE_INFINITY;
  const noteCancellation = () => {
    cancelledAt = performance.now();
  };
  const strayMayArrive = () => performance.now() - cancelledAt < strayCancellationMs;

  return function watchQuery({ query, send, request, signal, alone, onSettled }) {
    const { resolve, reject } = query;
    const startedAt = performance.now();
    let repeated = false;
    let isAnswered = false;
    // The driver settles a query again when it reuses or closes the connection that broke under it.
    let isOver = false;
    const expected = lostQueries.expect((error) => query.reject(error));

    const abort = () => {
      void cancelInDatabase(query, log, noteCancellation);
      reject(signal?.reason);
    };
    const sendExpected = () => {
      expected.listen();
      sendOutsideOfRequests(query, send, alone);
      expected.stopListening();
    };
    const answer = (result: unknown, error: unknown) => {
      if (isAnswered) return;
      isAnswered = true;
      const durationMs = performance.now() - startedAt;
      if (logsEach || durationMs > slowQueryMs) report(durationMs, result, error);
    };
    const finish = (error: unknown) => {
      isOver = true;
      expected.forget();
      signal?.removeEventListener('abort', abort);
      onSettled(error);
    };
    const report = (durationMs: number, result: unknown, error: unknown) => {
      const fields: LogFields = {
        ...(request === undefined ? {} : { request_id: request.id }),
        duration_ms: Math.round(durationMs * 10) / 10,
        query: describeStatement(query),
        ...(Array.isArray(result) ? { rows: result.length } : {}),
        ...(error === undefined ? {} : { failed: sqlState(error) ?? true }),
      };
      if (durationMs > slowQueryMs) log.warning('slow.query', fields);
      else if (echo) log.info('database.query', fields);
      else log.debug('database.query', fields);
    };

    query.resolve = (result) => {
      if (isOver) return;
      const isEarly = !isAnswered && (!Array.isArray(result) || isClosedCursor(query, result));
      answer(result, undefined);
      if (!isEarly) finish(undefined);
      resolve(result);
    };
    query.reject = (error) => {
      if (isOver) return;
      const timedOut = statementTimeoutMs > 0 && performance.now() - startedAt >= statementTimeoutMs;
      const hitByStray = alone && strayMayArrive() && isCancelled(error, timedOut) && !streamsRows(query);
      const again = wasNeverSent(query, error) || hitByStray;
      if (again && !repeated && !isAnswered && signal?.aborted !== true) {
        repeated = true;
        // The driver wrote the values in their text form over the old list; null makes it start from the values.
        query.parameters = null;
        expected.forget();
        // Not by setImmediate: a query that is sent there down a connection that closes keeps the driver from opening it anew.
        setTimeout(sendExpected, 1);
        return;
      }
      answer(undefined, error);
      if (!failedInClient(query, error)) finish(error);
      reject(toDatabaseError(error, timedOut));
    };

    signal?.addEventListener('abort', abort, { once: true });
    sendExpected();
  };
}

/**
 * The driver holds the last words of a connection that PostgreSQL closed, and answers with them the first query that
 * waits for the next connection.
 */
function wasNeverSent(query: DriverQuery, error: unknown): boolean {
  return query.state === null && sqlState(error) !== undefined;
}

/** Whether the driver says that a cursor is closed. It resolves the query again when PostgreSQL is ready. */
function isClosedCursor(query: DriverQuery, result: unknown[]): boolean {
  return query.cursorFn !== undefined && 'command' in result && result.command === null;
}

/**
 * Whether a sent query failed in this process: a value that cannot be written, a row that cannot be read, a callback that
 * threw. PostgreSQL goes on with it.
 */
function failedInClient(query: DriverQuery, error: unknown): boolean {
  return query.state !== null && sqlState(error) === undefined && !isConnectionError(error);
}

/**
 * Only what runs may be cancelled: told to cancel a query that waits for its connection to open, the driver would
 * lose the connection for good. Such a query runs when it opens, and its result is dropped.
 */
async function cancelInDatabase(query: DriverQuery, log: Logger, note: () => void): Promise<void> {
  if (!query.active || query.canceller === null) return;
  note();
  try {
    await query.canceller(query);
  } catch (error) {
    log.debug('database.cancel_failed', { error });
  }
  note();
}

/** The statement on one line, cut to 1,000 characters; parameters stand in it as `$1`. */
function describeStatement(query: DriverQuery): string {
  return (query.string ?? '').replace(/\s+/g, ' ').trim().slice(0, 1000);
}
