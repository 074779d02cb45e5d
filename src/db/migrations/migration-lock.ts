/**
 * Ensures that one process at a time changes the schema. The lock is an advisory lock of PostgreSQL, held by a session
 * that does nothing else, so it is released when the process exits, in whatever way.
 *
 * A waiting process polls for the lock instead of waiting inside PostgreSQL: a waiting statement is a transaction, and
 * `create index concurrently` waits for all transactions to end, so the two would wait for each other.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { StartError } from '../../errors.ts';
import { connectDirectly } from '../driver/direct-connection.ts';

/** The number of the lock. Nothing else in the program's database uses it. */
const migrationLock = 7_204_551;

/** Calls `work` while holding the lock. Throws a StartError if the lock is not free within `waitMs`. */
export async function withMigrationLock<T>(url: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const session = connectDirectly({ url, applicationName: 'strata migrations', connectTimeoutSeconds: 10 });
  const deadline = performance.now() + waitMs;
  try {
    // The session is idle while the work runs, and the lock belongs to it. PostgreSQL 13 has no such setting.
    await session`
      select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'`;
    for (;;) {
      const [row] = await session`select pg_try_advisory_lock(${migrationLock}) as locked`;
      if (row?.locked === true) return await work();
      if (performance.now() >= deadline) {
        throw new StartError(
          `Another process has been migrating this database for more than ${Math.round(waitMs / 1000)} s: wait until it has finished, and try again.`,
        );
      }
      await delay(50);
    }
  } finally {
    await session.end({ timeout: 0 });
  }
}
