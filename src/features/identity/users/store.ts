import type { Role } from '../../../auth/principal.ts';
import { violatedConstraint } from '../../../db/database-error.ts';
import { type Keyset, keysetCondition, keysetOrder } from '../../../db/keyset.ts';
import { patchedColumns } from '../../../db/patch.ts';
import { foldCase, onlyRow, type Sql } from '../../../db/sql.ts';
import type { UserPatch } from './schema.ts';

/** A row of `users` without the hash of the password. */
export interface User {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly email_verified: boolean;
  readonly role: Role;
  /** The number of the version, for the entity tag. */
  readonly version: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** The fields that must be unique. */
export type UniqueField = 'username' | 'email';

/** Returns the unique field that an error reports as taken; undefined for any other error. */
export function takenField(error: unknown): UniqueField | undefined {
  const constraint = violatedConstraint(error);
  if (constraint === 'users_username_key') return 'username';
  return constraint === 'users_email_key' ? 'email' : undefined;
}

/** Returns which of these values belong to a user other than `except`. */
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

/** Returns the hash of a user's password. Use it only to compare a password with it. */
export async function findPasswordHash(sql: Sql, id: number): Promise<string | undefined> {
  const [user] = await sql<{ password_hash: string }[]>`select password_hash from users where id = ${id}`;
  return user?.password_hash;
}

/** Returns the user, locked until the transaction ends. */
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

/** Applies a patch to a locked user. A new address is not verified. */
export async function updateUser(sql: Sql, id: number, patch: UserPatch): Promise<User> {
  const rows = await sql<User[]>`
    update users
    set
      email_verified_at = case when ${patch.email ?? null} <> email then null else email_verified_at end,
      ${patchedColumns(sql, patch, ['username', 'email'])}
    where id = ${id}
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

/** Returns the user with this name, in any case, locked until the transaction ends. */
export async function lockUserNamed(sql: Sql, username: string): Promise<User | undefined> {
  const [user] = await sql<User[]>`
    select ${columns(sql)} from users where lower(username) = ${foldCase(sql, username)} for update`;
  return user;
}

/** Sets the role of a locked user. */
export async function setRole(sql: Sql, id: number, role: Role): Promise<User> {
  const rows = await sql<User[]>`
    update users set role = ${role}, version = version + 1, updated_at = now()
    where id = ${id}
    returning ${columns(sql)}`;
  return onlyRow(rows);
}

/** Lists users with ids above `after`, in the order of their ids; only those of `role` if it is given. */
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
