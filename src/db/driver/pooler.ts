/**
 * Detects a pooler between a connection and PostgreSQL that uses transaction pooling: it may assign another backend to
 * the connection after each transaction. On such a connection a session lock does not protect anything, and LISTEN
 * receives nothing.
 *
 *     backend pid announced when the connection opened
 *       = pg_backend_pid() ──> no pooler
 *       ≠ pg_backend_pid() ──> a pooler: does it keep our backend assigned to us while we are idle?
 *                                open several transactions on other connections, which take over unassigned backends:
 *                                one of them has ours, or we now have another or none ──> no: transaction pooling
 *                                otherwise ──> yes: session pooling, which is sufficient
 *
 * A session pooler may have no backends left for the other connections, so they get two seconds only.
 */

import { withTimeout } from '../../concurrency/with-timeout.ts';
import { sqlState } from '../database-error.ts';
import type { DirectConnection } from './direct-connection.ts';

/** Concurrent transactions. A pooler assigns the backend that was returned last first, or uses them in turn. */
const probes = 6;
const timeoutMs = 2_000;

/**
 * Resolves with whether `connection` has no backend of its own. `connect` opens other connections of the same kind,
 * which are closed again. Rejects if `connection` breaks.
 */
export async function usesTransactionPooling(
  connection: DirectConnection,
  connect: () => DirectConnection,
): Promise<boolean> {
  const { announced, backend } = await identify(connection);
  if (announced === backend) return false;
  const probeConnections = Array.from({ length: probes }, connect);
  try {
    const heldBackends = await Promise.all(
      probeConnections.map((probe) => withTimeout(holdBackend(probe), timeoutMs, () => undefined)),
    );
    const own = await withTimeout(identify(connection), timeoutMs, () => undefined);
    return own?.backend !== backend || heldBackends.includes(backend) || heldBackends.includes('rejected');
  } finally {
    await Promise.all(probeConnections.map((probe) => probe.end({ timeout: 0 })));
  }
}

/**
 * Resolves with the pid of the backend that was announced when the connection opened, and with that of the backend that
 * answers now. They differ behind a pooler. Rejects with the driver's errors.
 */
export async function identify(
  connection: DirectConnection,
): Promise<{ readonly announced: number; readonly backend: number }> {
  // Without parameters, so that the driver prepares nothing: statement poolers do not support prepared statements.
  const rows = await connection.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid');
  return { announced: rows.state.pid, backend: rows[0]?.pid ?? 0 };
}

/** Opens a transaction that stays open until the connection closes, and resolves with its backend. */
async function holdBackend(probe: DirectConnection): Promise<number | 'rejected' | undefined> {
  try {
    await probe.unsafe('begin');
    return (await identify(probe)).backend;
  } catch (error) {
    // A statement pooler supports no transactions and reports a protocol violation.
    return sqlState(error) === '08P01' ? 'rejected' : undefined;
  }
}
