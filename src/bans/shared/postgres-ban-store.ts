/**
 * Keeps bans in PostgreSQL: one row per client in `client_bans` with its last change. Writers take an advisory lock, so that
 * versions are committed in their order, and a reader that has seen a version misses none before it. Bans are few, so writers
 * hardly ever wait.
 */

import type { Database } from '../../db/database.ts';
import type { Sql } from '../../db/sql.ts';
import type { BanReason } from '../../resilience/ban-list.ts';
import { type BanStore, maxChanges } from './ban-store.ts';

export interface PostgresBanStoreOptions {
  readonly database: Pick<Database, 'sql' | 'transaction'>;
}

interface Row {
  readonly client: string;
  readonly reason: BanReason | 'lifted';
  readonly nth: number;
  readonly note: string;
  readonly age: number;
  readonly remaining: number;
  readonly version: number;
}

/** The key of the advisory lock: the first eight digits of SHA-256 of "client_bans". */
const lockKey = 0x6364bf03;

/** The table of a database is never emptied, so it always has the same epoch. */
const epoch = 'postgres';

export function createPostgresBanStore({ database }: PostgresBanStoreOptions): BanStore {
  return {
    name: 'postgres',
    async write(changes, keepMs) {
      const column = <Value>(of: (change: (typeof changes)[number]) => Value) => changes.map(of);
      await database.transaction(async (tx) => {
        await tx`select pg_advisory_xact_lock(${lockKey})`;
        // The time of the statement, which starts after the lock was taken.
        await tx`
          insert into client_bans as known
            (client, reason, nth, note, started_at, ends_at, keep_until, version)
          select
            client, reason, nth, note,
            statement_timestamp() - age * interval '1 millisecond',
            statement_timestamp() + remaining * interval '1 millisecond',
            statement_timestamp() + (greatest(remaining, 0) + ${keepMs}) * interval '1 millisecond',
            nextval('client_bans_versions')
          from unnest(
            ${column(({ client }) => client)}::text[],
            ${column(({ isLifted, reason }) => (isLifted ? 'lifted' : reason))}::text[],
            ${column(({ nth }) => nth)}::integer[],
            ${column(({ note }) => note)}::text[],
            ${column(({ ageMs }) => Math.round(ageMs))}::bigint[],
            ${column(({ remainingMs }) => Math.round(remainingMs))}::bigint[]
          ) as given (client, reason, nth, note, age, remaining)
          on conflict (client) do update set
            reason = excluded.reason,
            nth = case
              when excluded.reason in ('manual', 'lifted') then excluded.nth
              when known.reason <> 'lifted' and known.ends_at > statement_timestamp()
                then greatest(known.nth, excluded.nth)
              else excluded.nth
            end,
            note = excluded.note,
            started_at = excluded.started_at,
            ends_at = excluded.ends_at,
            keep_until = excluded.keep_until,
            version = excluded.version
          where excluded.reason in ('manual', 'lifted')
            or known.reason = 'lifted'
            or known.ends_at <= statement_timestamp()
            or (known.reason <> 'manual' and known.ends_at < excluded.ends_at)`;
      });
    },
    async read(cursor) {
      const after = cursor?.version ?? 0;
      const rows = await database.sql<Row[]>`
        select
          client, reason, nth, note, version::float8 as version,
          (extract(epoch from statement_timestamp() - started_at) * 1000)::float8 as age,
          (extract(epoch from ends_at - statement_timestamp()) * 1000)::float8 as remaining
        from client_bans
        where version > ${after}
        order by client_bans.version
        limit ${maxChanges}`;
      return {
        changes: rows.map(({ client, reason, nth, note, age, remaining }) => ({
          ...{ client, nth, note, ageMs: age, remainingMs: remaining },
          isLifted: reason === 'lifted',
          reason: reason === 'lifted' ? 'manual' : reason,
        })),
        cursor: { epoch, version: rows.at(-1)?.version ?? after },
        hasMore: rows.length === maxChanges,
      };
    },
  };
}

/** Deletes up to `limit` rows whose bans no longer make the next one longer. Resolves with their number. */
export async function deleteOldBans(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from client_bans
    where client in (
      select client from client_bans
      where keep_until <= statement_timestamp()
      order by keep_until
      limit ${limit}
      for update skip locked
    )`;
  return count;
}
