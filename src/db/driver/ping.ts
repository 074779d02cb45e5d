import { AppError } from '../../errors.ts';
import { interceptQuery, type Sql } from '../sql.ts';
import { type DriverQuery, isDriverQuery } from './driver-query.ts';
import { connectionError, type PoolConnection } from './pool-connection.ts';

/**
 * Returns a function that resolves if PostgreSQL answers a statement within `timeoutMs`, and rejects with an AppError otherwise.
 * `run` sends the query and returns its connection, which is discarded without an answer in time: it would not serve another query
 * either, and cancelling the statement needs an answer too.
 */
export function createPing(
  tag: Sql,
  run: (query: DriverQuery) => PoolConnection,
): (timeoutMs: number) => Promise<void> {
  return async function ping(timeoutMs) {
    const late = connectionError('ETIMEDOUT', `The database did not answer within ${timeoutMs} ms.`);
    let isOver = false;
    let isLate = false;
    let timer: NodeJS.Timeout | undefined;
    const query = tag`select 1`;
    if (!isDriverQuery(query)) throw new Error('The driver returned no query.');
    interceptQuery(query, () => {
      const connection = run(query);
      const giveUp = () => {
        if (isOver) return;
        isLate = true;
        connection.discard(late);
      };
      // If this process was blocked, the answer may be unread: it is read before the callback of setImmediate.
      timer = setTimeout(() => setImmediate(giveUp), timeoutMs);
    });
    try {
      await query;
    } catch (error) {
      throw isLate ? new AppError('database_unavailable', late.message, { cause: late }) : error;
    } finally {
      isOver = true;
      clearTimeout(timer);
    }
  };
}
