import type { ApiKey } from '../../../auth/api-key.ts';
import type { Scope } from '../../../auth/principal.ts';
import { onlyRow, type Sql } from '../../../db/sql.ts';

/** A row of `api_keys` without the hash, which no query here returns. */
export interface StoredApiKey {
  readonly id: number;
  readonly name: string;
  readonly prefix: string;
  readonly scopes: Scope[];
  readonly created_at: Date;
  readonly expires_at: Date;
  readonly last_used_at: Date | null;
}

/** A valid key with its user and scopes. */
export interface LiveApiKey {
  readonly id: number;
  readonly user_id: number;
  readonly username: string;
  readonly scopes: string[];
  /** Whether the last recorded use is old enough to record this one. */
  readonly record_use: boolean;
}

/** Locks a user, so that keys of one user are created one at a time. Returns false if there is no such user. */
export async function lockKeyOwner(sql: Sql, userId: number): Promise<boolean> {
  const rows = await sql`select from users where id = ${userId} for no key update`;
  return rows.length > 0;
}

export async function countLiveApiKeys(sql: Sql, userId: number): Promise<number> {
  const rows = await sql<{ count: number }[]>`
    select count(*)::int as count from api_keys where user_id = ${userId} and expires_at > now()`;
  return onlyRow(rows).count;
}

export async function insertApiKey(
  sql: Sql,
  userId: number,
  { hash, prefix }: ApiKey,
  about: { readonly name: string; readonly scopes: readonly Scope[]; readonly expires_in_days: number },
): Promise<StoredApiKey> {
  const rows = await sql<StoredApiKey[]>`
    insert into api_keys (user_id, name, prefix, hash, scopes, expires_at)
    values (
      ${userId}, ${about.name}, ${prefix}, ${hash}, ${[...about.scopes]},
      now() + make_interval(days => ${about.expires_in_days})
    )
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

export function listApiKeys(sql: Sql, userId: number): Promise<StoredApiKey[]> {
  return sql<StoredApiKey[]>`
    select ${columns(sql)} from api_keys where user_id = ${userId} order by id desc limit ${maxListed}`;
}

/** Deletes a key of this user. Returns undefined if the user has no such key. */
export async function deleteApiKey(
  sql: Sql,
  userId: number,
  id: number,
): Promise<{ readonly prefix: string } | undefined> {
  const [deleted] = await sql<{ prefix: string }[]>`
    delete from api_keys where id = ${id} and user_id = ${userId} returning prefix`;
  return deleted;
}

/** Deletes all keys of a user and returns their ids. */
export async function deleteApiKeysOf(sql: Sql, userId: number): Promise<number[]> {
  const deleted = await sql<{ id: number }[]>`delete from api_keys where user_id = ${userId} returning id`;
  return deleted.map(({ id }) => id);
}

/** Returns the valid key with this hash, and its user. */
export async function findLiveApiKey(sql: Sql, hash: Buffer): Promise<LiveApiKey | undefined> {
  const [key] = await sql<LiveApiKey[]>`
    select
      api_keys.id, api_keys.user_id, users.username, api_keys.scopes,
      coalesce(api_keys.last_used_at < now() - interval '1 minute', true) as record_use
    from api_keys join users on users.id = api_keys.user_id
    where api_keys.hash = ${hash} and api_keys.expires_at > now()`;
  return key;
}

/** Records a use, unless another process has just recorded one. */
export async function recordUse(sql: Sql, id: number): Promise<void> {
  await sql`
    update api_keys set last_used_at = now()
    where id = ${id} and coalesce(last_used_at < now() - interval '1 minute', true)`;
}

/** Deletes at most `limit` keys that expired more than 30 days ago. Returns the number of deleted keys. */
export async function deleteEndedApiKeys(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from api_keys where id in (
      select id from api_keys where expires_at < now() - interval '30 days'
      limit ${limit} for update skip locked
    )`;
  return count;
}

/** Far above the maximum of valid keys, because recently expired keys are listed too. */
const maxListed = 1000;

function columns(sql: Sql) {
  return sql`id, name, prefix, scopes, created_at, expires_at, last_used_at`;
}
