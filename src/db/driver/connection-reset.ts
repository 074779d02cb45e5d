/**
 * Makes a connection fit for the next query after one that was cancelled, or that may have left a transaction open: a
 * `begin` that was sent as a statement of its own, or the `begin` of several statements of which a later one failed.
 *
 * One statement goes to PostgreSQL and back, and once more if a cancellation hits it. It is not `rollback`, because that
 * is a warning in the server's log where no transaction is open. A connection that cannot be reset is given up.
 */

import { endsConnection, sqlState } from '../database-error.ts';
import type { PoolConnection } from './pool-connection.ts';

const attempts = 10;

/**
 * Never rejects. Afterwards the connection is idle and outside of a transaction, and no cancellation hits it; or it was
 * given up. `isInTransaction`: a transaction may be open that has not failed, which only a rollback can end.
 */
export async function resetConnection(connection: PoolConnection, isInTransaction = false): Promise<void> {
  let reason: unknown;
  let statement = isInTransaction ? 'rollback' : 'select 1';
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    try {
      await connection.execute(statement);
      return;
    } catch (error) {
      if (endsConnection(error)) return;
      reason = error;
      const state = sqlState(error);
      // 25P02: in a transaction that has failed.
      if (state === '25P02') statement = 'rollback';
      else if (state !== '57014') break;
    }
  }
  connection.discard(reason);
}
