/**
 * Whether a pooler stands between a pool and PostgreSQL, and what follows. Without one, the pool prepares its statements,
 * and its sessions have the settings of `serverKeepAlive`, which a pooler would refuse. Preparing saves a round trip
 * each time a statement with values is sent again.
 *
 *     not yet known: off ──first answer──> asking ──backend is the one announced──> on
 *             ^                              │  └──── another: a pooler ──────────> off for good
 *             └───────── no answer ──────────┘
 *
 * A prepared statement lives in one backend. A pooler that lends backends by the transaction sends the next query to
 * another one, which has never heard of it, or has another by its name. Without preparing every query works behind every
 * pooler; therefore it is off until it is known that nothing is in between. It is asked for once in the life of a pool,
 * in a slot of its own beside the queries and not before them, so a database that is away holds nothing up.
 */

import { AsyncResource } from 'node:async_hooks';
import { endsConnection } from '../database-error.ts';
import type { ConnectionSlots } from './connection-slots.ts';
import type { PoolConnection } from './pool-connection.ts';
import { identify } from './pooler.ts';

export interface PreparedStatements {
  /** The database has answered: asks what is in between, if that is not known. */
  learn(): void;
}

/** Calls `onDirect` once nothing is in between, with the connection on which it asked. Make it outside of any request. */
export function createPreparedStatements(
  slots: ConnectionSlots<PoolConnection>,
  onDirect: (asked: PoolConnection) => void,
): PreparedStatements {
  let isAsked = false;

  const ask = AsyncResource.bind(async () => {
    let connection: PoolConnection | undefined;
    try {
      connection = await slots.take(undefined);
      // The connection that has answered is free again, and it is taken first.
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
      // By then the connection that has just answered is free again, and no other is opened.
      setTimeout(() => void ask(), 1);
    },
  };
}
