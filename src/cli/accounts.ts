/** What an operator does with accounts: the same rules and the same queries as over HTTP, without a caller to ask. */

import { randomBytes } from 'node:crypto';
import { createPasswordHasher } from '../auth/password.ts';
import { findPasswordError } from '../auth/password-policy.ts';
import type { Role } from '../auth/principal.ts';
import type { Database } from '../db/database.ts';
import type { Sql } from '../db/sql.ts';
import { StartError } from '../errors.ts';
import { endSessionsOf } from '../features/identity/auth/store.ts';
import { type NewUser, newUser } from '../features/identity/users/schema.ts';
import {
  findTakenFields,
  insertUser,
  listUsersAfter,
  lockUserNamed,
  setRole,
  takenField,
  type User,
} from '../features/identity/users/store.ts';

export type Account = User;

export interface WantedAccount {
  readonly username: string;
  readonly email: string;
  /** Undefined for one that is made here. */
  readonly password: string | undefined;
  readonly role: Role;
  /** What the service calls itself: no password is made of it. */
  readonly service?: string;
}

/** Creates an account. Throws a StartError for what is not allowed in it, and for what is taken. */
export async function createAccount(
  database: Database,
  { username, email, password, role, service = '' }: WantedAccount,
): Promise<{ readonly account: Account; readonly generated: string | undefined }> {
  const generated = password === undefined ? randomBytes(18).toString('base64url') : undefined;
  const wanted = checkNewUser({ username, email, password: password ?? generated ?? '' }, service);
  const passwordHash = await createPasswordHasher().hash(wanted.password);
  try {
    const account = await database.transaction(async (tx) => {
      const user = await insertUser(tx, { ...wanted, passwordHash });
      return role === user.role ? user : setRole(tx, user.id, role);
    });
    return { account, generated };
  } catch (error) {
    const broken = takenField(error);
    if (broken === undefined) throw error;
    const taken = new Set([broken, ...(await findTakenFields(database.sql, { username, email }, null))]);
    throw new StartError(`Somebody else has this ${[...taken].join(' and this ')}: choose another.`);
  }
}

function checkNewUser(given: NewUser, service: string): NewUser {
  const { error, data } = newUser.safeParse(given);
  const faults = error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
  const fault = findPasswordError(given.password, { ...given, service });
  // A length that the schema has spoken of is not told twice.
  if (fault !== undefined && !faults.some((each) => each.startsWith('password')))
    faults.push(`password: ${fault}`);
  if (data === undefined || faults.length > 0) throw new StartError(faults.join('\n'));
  return data;
}

/** Gives somebody a role. `adminsLeft` says whether anybody is an admin after that. */
export function changeRole(
  database: Database,
  username: string,
  role: Role,
): Promise<{ readonly account: Account; readonly changed: boolean; readonly adminsLeft: boolean }> {
  return database.transaction(async (tx) => {
    const user = await mustLock(tx, username);
    const changed = user.role !== role;
    const account = changed ? await setRole(tx, user.id, role) : user;
    const admins = await listUsersAfter(tx, { after: 0, role: 'admin', limit: 1 });
    return { account, changed, adminsLeft: admins.length > 0 };
  });
}

/** Ends everywhere what somebody has signed in to, and says how many sessions that were. */
export function endSessions(
  database: Database,
  username: string,
): Promise<{ readonly account: Account; readonly count: number }> {
  return database.transaction(async (tx) => {
    const account = await mustLock(tx, username);
    const ended = await endSessionsOf(tx, account.id, { reason: 'operator', now: new Date() });
    return { account, count: ended.length };
  });
}

const pageSize = 500;

/** All accounts in the order in which they were made, or those of one role; read a page at a time. */
export async function* listAccounts({ sql }: Database, role: Role | null): AsyncGenerator<Account> {
  for (let after = 0; ; ) {
    const page = await listUsersAfter(sql, { after, role, limit: pageSize });
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

async function mustLock(tx: Sql, username: string): Promise<User> {
  const user = await lockUserNamed(tx, username);
  if (user === undefined) throw new StartError(`There is no user with the name ${JSON.stringify(username)}.`);
  return user;
}
