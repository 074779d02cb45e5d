import { foldCase, type Sql } from '../../../db/sql.ts';

/** The purpose of a one-time token. The CHECK constraint of the table has the same values. */
export type Purpose = 'password_reset' | 'email_verification';

/** Lifetimes of tokens. At least an hour, because the mails of the last hour are counted by their tokens. */
const lifetimes = { password_reset: '1 hour', email_verification: '24 hours' } as const;

/** The owner of an account, with the columns that this feature needs. */
export interface Owner {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly password_hash: string;
  /** Whether the e-mail address is verified. */
  readonly verified: boolean;
}

export async function findOwner(sql: Sql, id: number): Promise<Owner | undefined> {
  const [owner] = await sql<Owner[]>`select ${columns(sql)} from users where users.id = ${id}`;
  return owner;
}

export async function findOwnerByEmail(sql: Sql, email: string): Promise<Owner | undefined> {
  const [owner] = await sql<
    Owner[]
  >`select ${columns(sql)} from users where lower(email) = ${foldCase(sql, email)}`;
  return owner;
}

/** Returns the owner, locked until the transaction ends, so that neither address nor password changes meanwhile. */
export async function lockOwner(tx: Sql, id: number): Promise<Owner | undefined> {
  const [owner] = await tx<
    Owner[]
  >`select ${columns(tx)} from users where users.id = ${id} for no key update`;
  return owner;
}

/** Sets a new hash if the compared one is still current. Locks the owner until the transaction ends. */
export async function replacePassword(
  tx: Sql,
  { id, password_hash }: Owner,
  newHash: string,
): Promise<boolean> {
  const { count } = await tx`
    update users set password_hash = ${newHash} where id = ${id} and password_hash = ${password_hash}`;
  return count === 1;
}

export async function setPassword(tx: Sql, id: number, newHash: string): Promise<void> {
  await tx`update users set password_hash = ${newHash} where id = ${id}`;
}

/** Marks the address as verified. Users see this in their account, so the version changes. */
export async function verifyEmail(tx: Sql, id: number): Promise<void> {
  await tx`
    update users
    set email_verified_at = now(), version = version + 1, updated_at = now()
    where id = ${id} and email_verified_at is null`;
}

export interface NewToken {
  readonly hash: Buffer;
  readonly userId: number;
  readonly purpose: Purpose;
  /** The address to which the token is sent. */
  readonly email: string;
}

export async function insertToken(tx: Sql, { hash, userId, purpose, email }: NewToken): Promise<void> {
  await tx`
    insert into one_time_tokens (token_hash, user_id, purpose, email, expires_at)
    values (${hash}, ${userId}, ${purpose}, ${email}, now() + ${lifetimes[purpose]}::interval)`;
}

/** Locks an e-mail address until the transaction ends, so that no other transaction mails a token to it meanwhile. */
export async function lockAddress(tx: Sql, email: string): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended('mail to ' || ${foldCase(tx, email)}, 0))`;
}

/** Counts the tokens for an address in the last hour, used or not, of all users. Ignores tokens from a clock that was ahead. */
export async function countTokens(tx: Sql, email: string, purpose: Purpose): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::int as count from one_time_tokens
    where lower(email) = ${foldCase(tx, email)} and purpose = ${purpose} 
      and created_at between now() - interval '1 hour' and now() + interval '1 minute'`;
  return row?.count ?? 0;
}

/** Returns the owner of a token, if the token is valid. */
export async function findTokenOwner(sql: Sql, hash: Buffer, purpose: Purpose): Promise<Owner | undefined> {
  const [owner] = await sql<Owner[]>`
    select ${columns(sql)} from one_time_tokens join users on users.id = user_id where ${good(sql, hash, purpose)}`;
  return owner;
}

/** Uses a token. Returns its owner, locked until the transaction ends, or undefined if the token is invalid. */
export async function takeToken(tx: Sql, hash: Buffer, purpose: Purpose): Promise<Owner | undefined> {
  const [owner] = await tx<Owner[]>`
    select ${columns(tx)} from one_time_tokens join users on users.id = user_id
    where ${good(tx, hash, purpose)} for no key update of users`;
  if (owner === undefined) return undefined;
  // A transaction that waited for the lock checks again whether the token is valid.
  const { count } = await tx`
    update one_time_tokens set ended_at = now() from users
    where users.id = user_id and ${good(tx, hash, purpose)}`;
  return count === 1 ? owner : undefined;
}

/** Ends the tokens of a user: those of a purpose, or all. */
export async function endTokens(tx: Sql, userId: number, purpose?: Purpose): Promise<void> {
  await tx`
    update one_time_tokens set ended_at = now()
    where user_id = ${userId} and purpose = coalesce(${purpose ?? null}, purpose) and ended_at is null`;
}

/** Deletes at most `limit` tokens that have expired, and returns how many it deleted. */
export async function deleteOldTokens(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from one_time_tokens
    where token_hash in (
      select token_hash from one_time_tokens
      where expires_at < now()
      order by expires_at
      limit ${limit}
      for update skip locked
    )`;
  return count;
}

function good(sql: Sql, hash: Buffer, purpose: Purpose) {
  return sql`
    token_hash = ${hash} and purpose = ${purpose} and ended_at is null and expires_at > now()
    and lower(one_time_tokens.email) = lower(users.email)`;
}

function columns(sql: Sql) {
  return sql`
    users.id, users.username, users.email, users.password_hash, users.email_verified_at is not null as verified`;
}
