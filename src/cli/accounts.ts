/** Operations on accounts for the command line. They use the same rules and queries as the HTTP API, without a caller. */

import { randomBytes } from 'node:crypto';
import { createPasswordHasher, type PasswordHasher } from '../auth/password.ts';
import type { Role } from '../auth/principal.ts';
import { findPasswordError } from '../auth/strength/password-policy.ts';
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

export type ListedUser = User;

export interface WantedAccount {
  readonly username: string;
  readonly email: string;
  /** Undefined to generate one. */
  readonly password: string | undefined;
  readonly role: Role;
  /** The name of the service, which must not be (part of) the password. */
  readonly service?: string;
}

/** Creates an account. Rejects with a StartError that lists the invalid or taken fields. */
export async function createUserAccount(
  database: Database,
  { username, email, password, role, service = '' }: WantedAccount,
  passwords: PasswordHasher = createPasswordHasher(),
): Promise<{ readonly account: ListedUser; readonly generated: string | undefined }> {
  const generated = password === undefined ? randomBytes(18).toString('base64url') : undefined;
  const wanted = checkNewUser({ username, email, password: password ?? generated ?? '' }, service);
  const passwordHash = await passwords.hash(wanted.password);
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
    throw new StartError(
      `The ${[...taken].join(' and the ')} ${taken.size === 1 ? 'is' : 'are'} already taken: choose another.`,
    );
  }
}

function checkNewUser(given: NewUser, service: string): NewUser {
  const { error, data } = newUser.safeParse(given);
  const errors = error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
  const passwordError = findPasswordError(given.password, { ...given, service });
  // The schema may have reported the length of the password already.
  if (passwordError !== undefined && !errors.some((each) => each.startsWith('password')))
    errors.push(`password: ${passwordError}`);
  if (data === undefined || errors.length > 0) throw new StartError(errors.join('\n'));
  return data;
}

/** Changes the role of a user. `adminsLeft` is false if no user is an admin afterwards. */
export function changeRole(
  database: Database,
  username: string,
  role: Role,
): Promise<{ readonly account: ListedUser; readonly changed: boolean; readonly adminsLeft: boolean }> {
  return database.transaction(async (tx) => {
    const user = await mustLock(tx, username);
    const changed = user.role !== role;
    const account = changed ? await setRole(tx, user.id, role) : user;
    const admins = await listUsersAfter(tx, { after: 0, role: 'admin', limit: 1 });
    return { account, changed, adminsLeft: admins.length > 0 };
  });
}

/** Ends all sessions of a user. Resolves with their number. */
export function endSessions(
  database: Database,
  username: string,
): Promise<{ readonly account: ListedUser; readonly count: number }> {
  return database.transaction(async (tx) => {
    const account = await mustLock(tx, username);
    const ended = await endSessionsOf(tx, account.id, { reason: 'operator', now: new Date() });
    return { account, count: ended.length };
  });
}

const pageSize = 500;

/** Yields all accounts, or those of one role, in the order of their creation. Reads one page at a time. */
export async function* listAccounts({ sql }: Database, role: Role | null): AsyncGenerator<ListedUser> {
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
  if (user === undefined)
    throw new StartError(
      `There is no user with the name ${JSON.stringify(username)}: check it with \`npm run user -- list\`.`,
    );
  return user;
}
