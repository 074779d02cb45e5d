import type { Database } from '../db/database.ts';
import type { Sql } from '../db/sql.ts';
import { isTransaction } from '../db/transaction.ts';
import type { Begun, IdempotencyStore } from './idempotency-store.ts';

export interface IdempotencyStoreOptions {
  readonly database: Pick<Database, 'sql'>;
  /** How long an attempt may run before it is taken for dead: longer than any request is worked for. */
  readonly leaseMs: number;
  /** How long an answer is kept. */
  readonly keepMs?: number;
}

const dayMs = 86_400_000;

/** Keeps keys and answers in the table `idempotency_keys`. */
export function createIdempotencyStore({
  database: { sql },
  leaseMs,
  keepMs = dayMs,
}: IdempotencyStoreOptions): IdempotencyStore {
  return {
    async begin({ scope, key, fingerprint, attempt }) {
      const [begun] = await sql<Begun[]>`
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
      // Neither: another request took the key while this statement ran, and its row is not seen here yet.
      return begun ?? { kind: 'running' };
    },

    async complete(transaction, { scope, key, attempt }, { status, headers, body }) {
      // Elsewhere the answer would be stored whether the effect is committed or not.
      if (!isTransaction(transaction))
        throw new Error('An answer is stored in the transaction of its effect.');
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

/** Deletes at most `limit` rows whose time is over, and returns how many there were. */
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
