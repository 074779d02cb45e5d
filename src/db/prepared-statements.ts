/**
 * Whether a pooler stands between a pool and PostgreSQL, and what follows. Without one, the pool prepares its statements,
 * and its sessions have the settings of `server-keepalive.ts`, which a pooler would refuse. Preparing saves a round trip each time one with values is sent again.
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
import type { ConnectionSlots } from './connection-slots.ts';
import { isConnectionError } from './database-error.ts';
import type { Driver } from './driver.ts';
import { identify } from './pooler.ts';
import { serverKeepAlive, setServerKeepAlive } from './server-keepalive.ts';

export interface PreparedStatements {
  /** The database has answered: asks what is in between, if that is not known. */
  learn(): void;
}

/** `driver` must have been opened with `prepare: false`. Call it outside of any request. */
export function createPreparedStatements(driver: Driver, slots: ConnectionSlots): PreparedStatements {
  let isAsked = false;

  const ask = AsyncResource.bind(async () => {
    // As for every query: the driver would send it ahead of a `begin` on the same connection, which it then refuses.
    await slots.take(undefined);
    try {
      const { announced, backend } = await identify(driver);
      // The driver reads its options anew for each query that it sends, and for each connection that it opens.
      driver.options.prepare = announced === backend;
      if (announced === backend) {
        Object.assign(driver.options.connection, serverKeepAlive);
        await driver.unsafe(setServerKeepAlive);
      }
      slots.release();
    } catch (error) {
      isAsked = false;
      slots.release(isConnectionError(error));
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
