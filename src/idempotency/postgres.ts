import type { Database } from '../db/database.ts';
import type { Sql } from '../db/sql.ts';
import { isTransaction } from '../db/transaction.ts';
import type { BeginResult, IdempotencyStore } from './idempotency-store.ts';

export interface IdempotencyStoreOptions {
  readonly database: Pick<Database, 'sql'>;
  /** The time after which a running attempt counts as dead. Must exceed the request deadline. */
  readonly leaseMs: number;
  /** How long a response is stored. Default 24 hours. */
  readonly keepMs?: number;
}

const dayMs = 86_400_000;

/** Creates a store over the table `idempotency_keys`. */
export function createIdempotencyStore({
  database: { sql },
  leaseMs,
  keepMs = dayMs,
}: IdempotencyStoreOptions): IdempotencyStore {
  return {
    async begin({ scope, key, fingerprint, attempt }) {
      const [result] = await sql<BeginResult[]>`
        with started as (
          insert into idempotency_keys as kept (scope, key, fingerprint, attempt, state, expires_at)
          values (${scope}, ${key}, ${fingerprint}, ${attempt}, 'running', now() + ${leaseMs} * interval '1 ms')
          on conflict (scope, key) do update set
            fingerprint = excluded.fingerprint, attempt = excluded.attempt, state = excluded.state,
            status = null, headers = null, body = null,
            created_at = excluded.created_at, expires_at = excluded.expires_at
          where kept.expires_at <= now()
          returning scope
        )
        select 'started' as kind, null::smallint as status, null::jsonb as headers, null as body from started
        union all
        select case when fingerprint = ${fingerprint} then state else 'mismatch' end, status, headers, body
        from idempotency_keys
        where scope = ${scope} and key = ${key} and expires_at > now() and not exists (select from started)`;
      // No row: another request claimed the key while this statement ran, and its row is not visible to it.
      return result ?? { kind: 'running' };
    },

    async complete(transaction, { scope, key, attempt }, { status, headers, body }) {
      // Outside a transaction, the response would be stored even if the effect is not committed.
      if (!isTransaction(transaction))
        throw new Error('The response must be stored in the transaction of its effect.');
      const { count } = await transaction`
        update idempotency_keys
        set
          state = 'done', status = ${status}, headers = ${transaction.json(headers)}, body = ${body},
          expires_at = now() + ${keepMs} * interval '1 ms'
        where scope = ${scope} and key = ${key} and attempt = ${attempt} and state = 'running'`;
      return count === 1;
    },

    async release({ scope, key, attempt }) {
      await sql`
        delete from idempotency_keys
        where scope = ${scope} and key = ${key} and attempt = ${attempt} and state = 'running'`;
    },
  };
}

/** Deletes at most `limit` expired rows, and returns their number. */
export async function deleteExpiredKeys(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from idempotency_keys
    where (scope, key) in (
      select scope, key from idempotency_keys
      where expires_at <= now()
      order by expires_at
      limit ${limit}
      for update skip locked
    )`;
  return count;
}
