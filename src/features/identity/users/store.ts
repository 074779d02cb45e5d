import type { Role } from '../../../auth/principal.ts';
import { violatedConstraint } from '../../../db/database-error.ts';
import { type Keyset, keysetCondition, keysetOrder } from '../../../db/keyset.ts';
import { foldCase, onlyRow, type Sql } from '../../../db/sql.ts';
import type { UserPatch } from './schema.ts';

/** A row of `users` without the hash of the password. */
export interface User {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly email_verified: boolean;
  readonly role: Role;
  /** Counts the changes; the entity tag is made of it. */
  readonly version: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** What two users cannot share. */
export type UniqueField = 'username' | 'email';

/** Which unique field an error says is taken; undefined for any other error. */
export function takenField(error: unknown): UniqueField | undefined {
  const constraint = violatedConstraint(error);
  if (constraint === 'users_username_key') return 'username';
  return constraint === 'users_email_key' ? 'email' : undefined;
}

/** Which of these values belong to a user already, other than the one with the id `except`. */
export async function findTakenFields(
  sql: Sql,
  wanted: UserPatch,
  except: number | null,
): Promise<UniqueField[]> {
  const { username = null, email = null } = wanted;
  const rows = await sql<{ username: boolean | null; email: boolean | null }[]>`
    select lower(username) = ${foldCase(sql, username)} as username, lower(email) = ${foldCase(sql, email)} as email
    from users
    where (lower(username) = ${foldCase(sql, username)} or lower(email) = ${foldCase(sql, email)})
      and id is distinct from ${except}`;
  return (['username', 'email'] as const).filter((field) => rows.some((row) => row[field]));
}

export async function insertUser(
  sql: Sql,
  {
    username,
    email,
    passwordHash,
  }: { readonly username: string; readonly email: string; readonly passwordHash: string },
): Promise<User> {
  const rows = await sql<User[]>`
    insert into users (username, email, password_hash)
    values (${username}, ${email}, ${passwordHash})
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

export async function findUser(sql: Sql, id: number): Promise<User | undefined> {
  const [user] = await sql<User[]>`select ${columns(sql)} from users where id = ${id}`;
  return user;
}

/** The hash of a user's password, to compare with and for nothing else. */
export async function findPasswordHash(sql: Sql, id: number): Promise<string | undefined> {
  const [user] = await sql<{ password_hash: string }[]>`select password_hash from users where id = ${id}`;
  return user?.password_hash;
}

/** The user, locked until the transaction ends: nobody else changes it in between. */
export async function lockUser(sql: Sql, id: number): Promise<User | undefined> {
  const [user] = await sql<User[]>`select ${columns(sql)} from users where id = ${id} for update`;
  return user;
}

export function listUsers(sql: Sql, keyset: Keyset): Promise<User[]> {
  return sql<User[]>`
    select ${columns(sql)} from users
    where ${keysetCondition(sql, 'id', keyset)}
    ${keysetOrder(sql, 'id', keyset)}`;
}

/**
 * Changes what the patch has, of a user that is locked; the columns that can be changed are those named here. Another
 * address has yet to be verified.
 */
export async function updateUser(sql: Sql, id: number, { username, email }: UserPatch): Promise<User> {
  const rows = await sql<User[]>`
    update users
    set
      username = coalesce(${username ?? null}, username),
      email = coalesce(${email ?? null}, email),
      email_verified_at = case when ${email ?? null} <> email then null else email_verified_at end,
      version = version + 1,
      updated_at = now()
    where id = ${id}
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

/** The user of this name, whatever its case, locked until the transaction ends. */
export async function lockUserNamed(sql: Sql, username: string): Promise<User | undefined> {
  const [user] = await sql<User[]>`
    select ${columns(sql)} from users where lower(username) = ${foldCase(sql, username)} for update`;
  return user;
}

/** Gives a user that is locked a role. */
export async function setRole(sql: Sql, id: number, role: Role): Promise<User> {
  const rows = await sql<User[]>`
    update users set role = ${role}, version = version + 1, updated_at = now()
    where id = ${id}
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

/** The users after a number, in the order of their numbers; of one role, if it is named. */
export function listUsersAfter(
  sql: Sql,
  { after, role, limit }: { readonly after: number; readonly role: Role | null; readonly limit: number },
): Promise<User[]> {
  return sql<User[]>`
    select ${columns(sql)} from users
    where id > ${after} and role = coalesce(${role}, role)
    order by id limit ${limit}`;
}

export async function deleteUser(sql: Sql, id: number): Promise<void> {
  await sql`delete from users where id = ${id}`;
}

function columns(sql: Sql) {
  return sql`
    id, username, email, email_verified_at is not null as email_verified, role, version, created_at, updated_at`;
}
