/**
 * Whether a pooler stands between a connection and PostgreSQL that gives the connection another backend from one
 * transaction to the next. On such a connection a session lock is held by nobody in particular, and LISTEN hears nothing.
 *
 *     number announced at the start of the connection
 *       = pg_backend_pid() ──> nothing in between
 *       ≠ pg_backend_pid() ──> a pooler: does it keep the backend for us while we are idle?
 *                                others open transactions, so that a backend that is lent out is lent to them:
 *                                one of them has ours, or we have another, or none ──> no
 *                                else ──> yes, it pools sessions, and a session is what we need
 *
 * A pooler of sessions may have no backends left for the others; they are waited for a moment only.
 */

import { withTimeout } from '../../concurrency/with-timeout.ts';
import { sqlState } from '../database-error.ts';
import type { DirectConnection } from './direct-connection.ts';

/** Transactions at a time. A pooler lends the backend that came back last first, or one after the other in turn. */
const others = 6;
const waitMs = 2_000;

/**
 * Resolves with whether `connection` keeps no backend of its own. `connect` opens others of the same kind, which are
 * closed again. Rejects if `connection` breaks.
 */
export async function usesTransactionPooling(
  connection: DirectConnection,
  connect: () => DirectConnection,
): Promise<boolean> {
  const { announced, backend } = await identify(connection);
  if (announced === backend) return false;
  const borrowers = Array.from({ length: others }, connect);
  try {
    const borrowed = await Promise.all(
      borrowers.map((borrower) => withTimeout(holdBackend(borrower), waitMs, () => undefined)),
    );
    const own = await withTimeout(identify(connection), waitMs, () => undefined);
    return own?.backend !== backend || borrowed.includes(backend) || borrowed.includes('refused');
  } finally {
    await Promise.all(borrowers.map((borrower) => borrower.end({ timeout: 0 })));
  }
}

/**
 * Resolves with the number of the backend that was announced when a connection began, and with that of the backend
 * that answers on it now. They differ behind a pooler. Rejects with the driver's errors.
 */
export async function identify(
  connection: DirectConnection,
): Promise<{ readonly announced: number; readonly backend: number }> {
  // Without parameters, so that the driver prepares nothing, which poolers of statements do not understand.
  const rows = await connection.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid');
  return { announced: rows.state.pid, backend: rows[0]?.pid ?? 0 };
}

/** Opens a transaction that stays open until the connection ends, and resolves with its backend. */
async function holdBackend(borrower: DirectConnection): Promise<number | 'refused' | undefined> {
  try {
    await borrower.unsafe('begin');
    return (await identify(borrower)).backend;
  } catch (error) {
    // A pooler of single statements knows no transactions, and says so as a violation of the protocol.
    return sqlState(error) === '08P01' ? 'refused' : undefined;
  }
}
