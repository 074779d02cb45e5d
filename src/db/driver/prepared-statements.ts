/**
 * Finds out whether a pooler is between a pool and PostgreSQL. Without a pooler, the pool prepares its statements and
 * its sessions get `serverKeepAlive`, which a pooler would reject. Preparing saves a round trip for each repeated
 * statement that has parameters.
 *
 *     unknown: off ──first response──> asking ──backend is the announced one──> on
 *           ^                            │  └──── another: a pooler ──────────> off permanently
 *           └──────── no response ───────┘
 *
 * A prepared statement belongs to one backend. A transaction pooler sends the next query to another backend, which does
 * not know the statement, or knows another one by its name. Unprepared queries work behind every pooler, so preparing
 * is off until it is known that there is none. The question is asked once in the life of a pool, in a slot of its own
 * next to the queries and not before them, so an unavailable database delays nothing.
 */

import { AsyncResource } from 'node:async_hooks';
import { endsConnection } from '../database-error.ts';
import type { ConnectionSlots } from './connection-slots.ts';
import type { PoolConnection } from './pool-connection.ts';
import { identify } from './pooler.ts';

export interface PreparedStatements {
  /** Call it when the database has responded. Asks whether there is a pooler, if that is unknown. */
  learn(): void;
}

/**
 * Calls `onDirect` when there is no pooler, with the connection on which the question was asked. Create it outside of
 * any request.
 */
export function createPreparedStatements(
  slots: ConnectionSlots<PoolConnection>,
  onDirect: (asked: PoolConnection) => void,
): PreparedStatements {
  let isAsked = false;

  const ask = AsyncResource.bind(async () => {
    let connection: PoolConnection | undefined;
    try {
      connection = await slots.acquire(undefined);
      // The connection that responded is free again, and it is acquired first.
      if (connection.driver === undefined) throw new Error('The connection has closed.');
      const { announced, backend } = await identify(connection.driver);
      if (announced === backend) onDirect(connection);
    } catch (error) {
      isAsked = false;
      if (endsConnection(error)) connection?.discard(error);
    } finally {
      if (connection !== undefined) slots.release(connection);
    }
  });

  return {
    learn() {
      if (isAsked) return;
      isAsked = true;
      // By then the connection that has just responded is free again, so no other one is opened.
      setTimeout(() => void ask(), 1);
    },
  };
}
