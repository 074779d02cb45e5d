import type { Role } from '../../../auth/principal.ts';
import type { RefreshToken } from '../../../auth/refresh-token.ts';
import { foldCase, type Sql } from '../../../db/sql.ts';
import type { Transport } from './schema.ts';

/** Why a session was ended; an expired session has no reason. The CHECK constraint of the table has the same values. */
export type SessionEndReason =
  | 'logout'
  | 'logout_all'
  | 'revoked'
  | 'refresh_reused'
  | 'password_changed'
  | 'password_reset'
  | 'too_many'
  | 'operator';

/** The columns of a user that a login needs. */
export interface Login {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly password_hash: string;
}

export interface NewSession {
  readonly id: string;
  readonly userId: number;
  readonly transport: Transport;
  readonly address: string;
  readonly userAgent: string;
  readonly tokenHash: Buffer;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly endsAt: Date;
}

/** The user of a session, and until when it can be refreshed. */
export interface SessionExpiry {
  readonly user_id: number;
  readonly expires_at: Date;
}

/** The columns of a session that a refresh needs. */
export interface SessionRow extends SessionExpiry {
  readonly current_hash: Buffer;
  readonly previous_hash: Buffer | null;
  readonly sealed_successor: Buffer | null;
  readonly rotated_at: Date;
  readonly ended_at: Date | null;
}

/** The user of a session. */
export interface SessionUser {
  readonly id: number;
  readonly username: string;
  readonly role: Role;
}

/** A live session as it is shown to its user. */
export interface ListedSession {
  readonly id: string;
  readonly transport: Transport;
  readonly address: string;
  readonly user_agent: string;
  readonly created_at: Date;
  readonly rotated_at: Date;
  readonly expires_at: Date;
}

/** Returns the user with this username or e-mail address. A username has no `@`, so at most one user matches. */
export async function findLogin(sql: Sql, login: string): Promise<Login | undefined> {
  const [user] = await sql<Login[]>`
    select id, username, email, password_hash from users
    where lower(username) = ${foldCase(sql, login)} or lower(email) = ${foldCase(sql, login)}`;
  return user;
}

/** Replaces a hash by another hash of the same password. Returns false if the hash has changed meanwhile. */
export async function replaceHash(sql: Sql, { id, password_hash }: Login, newHash: string): Promise<boolean> {
  const rows = await sql`
    update users set password_hash = ${newHash} where id = ${id} and password_hash = ${password_hash} returning id`;
  return rows.length === 1;
}

/** Locks the user until the transaction ends, if the hash of the password is unchanged. */
export async function lockLogin(sql: Sql, { id, password_hash }: Login): Promise<boolean> {
  const rows = await sql`
    select id from users where id = ${id} and password_hash = ${password_hash} for no key update`;
  return rows.length === 1;
}

export async function insertSession(sql: Sql, session: NewSession): Promise<void> {
  await sql`
    insert into sessions
      (id, user_id, transport, address, user_agent, current_hash, created_at, rotated_at, expires_at, ends_at)
    values (
      ${session.id}, ${session.userId}, ${session.transport}, ${session.address}, ${session.userAgent},
      ${session.tokenHash}, ${session.createdAt}, ${session.createdAt}, ${session.expiresAt}, ${session.endsAt}
    )`;
}

export interface Rotation {
  readonly id: string;
  readonly presentedHash: Buffer;
  readonly successorHash: Buffer;
  readonly sealedSuccessor: Buffer;
  readonly now: Date;
  /** A token that became current between these times is too young to rotate. A later time comes from a clock that was ahead. */
  readonly currentSince: Date;
  readonly currentUntil: Date;
  readonly expiresAt: Date;
}

/**
 * Makes the step from one token to the next in one statement. Of concurrent calls one succeeds, because the others find
 * another current token when they get the lock of the row. Returns undefined if the step was not made.
 */
export async function rotateSession(sql: Sql, rotation: Rotation): Promise<SessionExpiry | undefined> {
  const [expiry] = await sql<SessionExpiry[]>`
    update sessions
    set
      previous_hash = current_hash,
      current_hash = ${rotation.successorHash},
      sealed_successor = ${rotation.sealedSuccessor},
      rotated_at = ${rotation.now},
      expires_at = least(${rotation.expiresAt}, ends_at)
    where id = ${rotation.id}
      and current_hash = ${rotation.presentedHash}
      and (rotated_at <= ${rotation.currentSince} or rotated_at > ${rotation.currentUntil})
      and ended_at is null
      and expires_at > ${rotation.now}
    returning user_id, expires_at`;
  return expiry;
}

export async function findSession(sql: Sql, id: string): Promise<SessionRow | undefined> {
  const [session] = await sql<SessionRow[]>`
    select user_id, expires_at, current_hash, previous_hash, sealed_successor, rotated_at, ended_at
    from sessions
    where id = ${id}`;
  return session;
}

/** Returns the current data of the user of a live session, or undefined if there is no such session. */
export async function findSessionUser(sql: Sql, id: string, now: Date): Promise<SessionUser | undefined> {
  const [user] = await sql<SessionUser[]>`
    select users.id, users.username, users.role
    from sessions join users on users.id = sessions.user_id
    where sessions.id = ${id} and sessions.ended_at is null and sessions.expires_at > ${now}`;
  return user;
}

/**
 * Returns the role of a user whose session is live, and locks both until the transaction ends. Returns undefined if the
 * session has ended or the user was deleted. The user is locked before the session, as everywhere.
 */
export async function lockSessionUser(
  tx: Sql,
  { sessionId, userId }: { readonly sessionId: string; readonly userId: number },
  now: Date,
): Promise<Role | undefined> {
  const [caller] = await tx<{ role: Role }[]>`
    with caller as materialized (select id, role from users where id = ${userId} for share)
    select caller.role
    from caller join sessions on sessions.user_id = caller.id
    where sessions.id = ${sessionId} and sessions.ended_at is null and sessions.expires_at > ${now}
    for share of sessions`;
  return caller?.role;
}

interface SessionEnd {
  readonly reason: SessionEndReason;
  readonly now: Date;
}

/** Ends a live session, only of this user if `userId` is given. Returns its user, or undefined if no session was ended. */
export async function endSession(
  sql: Sql,
  id: string,
  { reason, now, userId = null }: SessionEnd & { readonly userId?: number | null },
): Promise<number | undefined> {
  const [ended] = await sql<{ user_id: number }[]>`
    update sessions
    set ended_at = ${now}, end_reason = ${reason}
    where id = ${id} and user_id = coalesce(${userId}, user_id) and ended_at is null and expires_at > ${now}
    returning user_id`;
  return ended?.user_id;
}

/** Ends the live session of a refresh token that this server has issued. Returns its user. */
export async function endSessionByToken(
  sql: Sql,
  { sessionId, hash, genuine }: RefreshToken,
  { reason, now }: SessionEnd,
): Promise<number | undefined> {
  const [ended] = await sql<{ user_id: number }[]>`
    update sessions
    set ended_at = ${now}, end_reason = ${reason}
    where id = ${sessionId} and (${genuine} or current_hash = ${hash} or previous_hash = ${hash})
      and ended_at is null and expires_at > ${now}
    returning user_id`;
  return ended?.user_id;
}

/** Returns where a session has its refresh token. */
export async function findTransport(sql: Sql, id: string): Promise<Transport | undefined> {
  const [session] = await sql<{ transport: Transport }[]>`select transport from sessions where id = ${id}`;
  return session?.transport;
}

/**
 * Ends the live sessions of a user except the `keep` most recently used, and returns their ids. The lock of the user blocks
 * logins meanwhile: a login that has compared the old password either finds that it has changed, or its session already
 * exists here. The lock also serialises calls that end many sessions.
 */
export async function endSessionsOf(
  sql: Sql,
  userId: number,
  { reason, now, keep = 0 }: SessionEnd & { readonly keep?: number },
): Promise<string[]> {
  await sql`select id from users where id = ${userId} for no key update`;
  const ended = await sql<{ id: string }[]>`
    update sessions
    set ended_at = ${now}, end_reason = ${reason}
    where ended_at is null and id in (
      select id from sessions
      where user_id = ${userId} and ended_at is null and expires_at > ${now}
      order by rotated_at desc
      offset ${keep}
    )
    returning id`;
  return ended.map(({ id }) => id);
}

/** Lists the live sessions of a user, the most recently used first. */
export function listSessions(sql: Sql, userId: number, now: Date): Promise<ListedSession[]> {
  return sql<ListedSession[]>`
    select id, transport, address, user_agent, created_at, rotated_at, expires_at
    from sessions
    where user_id = ${userId} and ended_at is null and expires_at > ${now}
    order by rotated_at desc, id`;
}

/** Deletes at most `limit` sessions that ended more than 30 days ago. Returns the number of deleted sessions. */
export async function deleteEndedSessions(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from sessions
    where id in (
      select id from sessions
      where coalesce(ended_at, expires_at) < now() - interval '30 days'
      limit ${limit}
      for update skip locked
    )`;
  return count;
}
