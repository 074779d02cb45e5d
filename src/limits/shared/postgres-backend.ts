/**
 * Counts permits in PostgreSQL, exactly: one row per client and limit in the unlogged table `rate_limit_permits`, with the
 * times of the permits. For deployments of several nodes without Redis.
 *
 * All asks of one turn of the event loop are one statement. The function that it calls (`sql/*_create_rate_limit_permits.sql`)
 * first locks all clients of the call, in one order, and then decides with the clock of the server: two nodes that ask for
 * the same client decide one after the other. A rejected request writes nothing.
 *
 * The pool of this module is its own, so that requests that wait for a connection do not delay the limiter, and the limiter
 * takes no connection from a request.
 */

import type { Database } from '../../db/database.ts';
import { onlyRow, type Sql } from '../../db/sql.ts';
import type { Limit } from '../limit-store.ts';
import { type Ask, readDecisions, type SharedBackend } from './shared-backend.ts';

export interface PostgresBackendOptions {
  readonly database: Pick<Database, 'sql'>;
  /** The clock for tests, in milliseconds. Default: the clock of PostgreSQL. */
  readonly now?: () => number;
}

export function createPostgresBackend({ database, now }: PostgresBackendOptions): SharedBackend {
  const { sql } = database;
  return {
    name: 'postgres',
    async decide(asks) {
      const { keys, continues, counts, quotas, windows } = flatten(asks);
      const at = now === undefined ? null : Math.floor(now());
      const { reply } = onlyRow(
        await sql<{ reply: string[] }[]>`
          select take_rate_limit_permits(
            ${keys}::text[], ${continues}::integer[], ${counts}::integer[], ${quotas}::integer[], ${windows}::bigint[],
            ${at}::bigint
          )::text[] as reply`,
      );
      return readDecisions(asks, reply.map(Number));
    },
  };
}

/** Deletes up to `limit` rows of clients without a permit in any window. Resolves with their number. */
export async function deleteExpiredPermits(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from rate_limit_permits
    where key in (
      select key from rate_limit_permits
      where expires_at <= clock_timestamp()
      limit ${limit}
      for update skip locked
    )`;
  return count;
}

function flatten(asks: readonly Ask[]) {
  const keys: string[] = [];
  const continues: number[] = [];
  const counts: number[] = [];
  const quotas: number[] = [];
  const windows: number[] = [];
  for (const { limits, key } of asks) {
    for (const limit of limits) {
      const { policies } = limit;
      keys.push(`${nameOf(limit)}:${key}`);
      continues.push(limit === limits[0] ? 0 : 1);
      counts.push(policies.length);
      for (const { quota, windowMs } of policies) {
        quotas.push(quota);
        windows.push(windowMs);
      }
    }
  }
  return { keys, continues, counts, quotas, windows };
}

/** Returns the first part of the key. A limit with other quotas has other keys, so its counts start at zero. */
function nameOf({ name, policies }: Limit): string {
  if (policies.length === 0) throw new RangeError(`The limit "${name}" has no policy.`);
  return `${name}:${policies.map(({ quota, windowMs }) => `${quota}/${windowMs}`).join('|')}`;
}
