/**
 * Users: registration, the rules for changes, and their log events. The unique indexes of the table reject taken names and
 * addresses, because only they can decide between concurrent requests; the queries before and after only make the error
 * early and complete.
 *
 * A user can be read and changed by itself and by admins. For everyone else it does not exist: they get 404 in any case.
 * Mail to the address of a user can set a new password, so an attacker with only an access token or an API key must not
 * be able to change the address: this needs a session and the password. Every change runs in a transaction that locks the
 * caller's session and role, so that authority that was revoked during the request is not used.
 */

import type { Authenticator } from '../../../auth/authenticator.ts';
import type { PasswordHasher } from '../../../auth/password.ts';
import { mayActFor, type Principal } from '../../../auth/principal.ts';
import { findPasswordError } from '../../../auth/strength/password-policy.ts';
import type { Cache } from '../../../cache/cache.ts';
import type { Database } from '../../../db/database.ts';
import { type Keyset, type KeysetPage, keysetPage } from '../../../db/keyset.ts';
import type { Sql } from '../../../db/sql.ts';
import type { BeforeCommit } from '../../../db/transaction.ts';
import { AppError } from '../../../errors.ts';
import { clientKey } from '../../../http/connection/addresses.ts';
import {
  assertVersion,
  found,
  notFound,
  type VersionCondition,
} from '../../../http/parameters/versioned-row.ts';
import { invalidField } from '../../../http/validate.ts';
import type { Logger } from '../../../observability/logger.ts';
import { currentRequest } from '../../../observability/request-context.ts';
import type { Account } from '../account/account.ts';
import type { Attempts } from '../attempts/attempts.ts';
import type { Auth } from '../auth/auth.ts';
import type { NewUser, UserPatch } from './schema.ts';
import {
  deleteUser,
  findPasswordHash,
  findTakenFields,
  findUser,
  insertUser,
  listUsers,
  lockUser,
  takenField,
  type UniqueField,
  type User,
  updateUser,
} from './store.ts';

/** The rules for a new user, for features that make users in another way. */
export { newUser } from './schema.ts';
export type { User };

/** The tag of cached values that contain users: invalidated when one is renamed or deleted. */
export const usersTag = 'users';

const noun = 'user';

/** A change of a user, with its caller and the client's address. */
export interface UserChange {
  readonly caller: Principal;
  readonly address: string;
  readonly id: number;
  readonly patch: UserPatch;
  readonly condition: VersionCondition;
}

/** A registration, with the client's address. */
export interface Registration {
  readonly newUser: NewUser;
  readonly address: string;
}

/**
 * Every method rejects with an AppError: `not_found` for an unknown id or one that the caller may not see, `conflict` for
 * a taken name or address, `precondition_failed` for a version that the caller's condition excludes, or a database error.
 */
export interface Users {
  /** Rejects with `validation_failed` for an easily guessed password. */
  register(registration: Registration, beforeCommit?: BeforeCommit<User>): Promise<User>;
  get(caller: Principal, id: number): Promise<User>;
  /** Lists all users. The route checks the role of the caller. */
  list(keyset: Keyset): Promise<KeysetPage<User>>;
  /**
   * A new address rejects with `forbidden` for an API key, `unauthenticated` for an ended session, `validation_failed`
   * for a wrong password, and `rate_limited` after many wrong passwords.
   */
  update(change: UserChange, beforeCommit?: BeforeCommit<User>): Promise<User>;
  /** Deletes the user and everything that belongs to it. */
  remove(caller: Principal, id: number, condition: VersionCondition): Promise<void>;
}

export interface UsersOptions {
  readonly database: Database;
  readonly passwords: PasswordHasher;
  readonly attempts: Attempts;
  readonly auth: Pick<Auth, 'requireAuthority'>;
  readonly account: Pick<Account, 'sendVerification' | 'emailChanged' | 'endMailedTokens'>;
  readonly authenticator: Pick<Authenticator, 'forgetUser'>;
  readonly cache: Pick<Cache, 'invalidate'>;
  readonly log: Logger;
  /** The name of the service, which must not be (part of) a password. */
  readonly service: string;
}

export function createUsers(options: UsersOptions): Users {
  const { database, passwords, attempts, auth, account, authenticator, cache, log } = options;
  const { sql } = database;
  return {
    async register({ newUser, address }, beforeCommit) {
      const error = findPasswordError(newUser.password, { ...newUser, service: options.service });
      if (error !== undefined) throw invalidField('/password', error);
      // Hashing is expensive, so taken names and an unavailable database are detected first.
      assertNotTaken(await findTakenFields(sql, newUser, null));
      const passwordHash = await passwords.hash(newUser.password, {
        signal: currentRequest()?.signal,
        lane: 'registration',
        source: clientKey(address),
      });
      const user = await explainConflict(newUser, null, () =>
        database.transaction(async (tx) => {
          const inserted = await insertUser(tx, { ...newUser, passwordHash });
          await beforeCommit?.(tx, inserted);
          return inserted;
        }),
      );
      log.info('user.created', { user_id: user.id, email: user.email });
      account.sendVerification(user);
      return user;
    },

    async get(caller, id) {
      assertMayActFor(caller, id);
      return found(await findUser(sql, id), noun, id);
    },

    async list(keyset) {
      return keysetPage(await listUsers(sql, keyset), keyset);
    },

    async update({ caller, address, id, patch, condition }, beforeCommit) {
      assertMayActFor(caller, id);
      let changed = await change(await confirmNewEmail(caller, address, id, patch));
      while (changed === undefined) changed = await change(await comparePassword(id, address, patch));
      const { user, former } = changed;
      // Cached credentials contain the name.
      if (patch.username !== undefined) {
        authenticator.forgetUser(id);
        await cache.invalidate(usersTag);
      }
      log.info('user.updated', {
        user_id: id,
        email: user.email,
        fields: changedFields(patch),
        by_user_id: caller.userId,
      });
      if (user.email !== former.email) account.emailChanged(user, former);
      return user;

      /** Changes the user. Resolves with undefined if the password was changed after it was compared. */
      function change(comparedHash: string | undefined) {
        return explainConflict(patch, id, () =>
          database.transaction(async (tx) => {
            const former = await lockForChange(tx, caller, id);
            assertVersion(former, condition, noun);
            if (comparedHash !== undefined && (await findPasswordHash(tx, id)) !== comparedHash)
              return undefined;
            const user = await updateUser(tx, id, patch);
            if (user.email !== former.email) await account.endMailedTokens(tx, id);
            await beforeCommit?.(tx, user);
            return { user, former };
          }),
        );
      }
    },

    async remove(caller, id, condition) {
      assertMayActFor(caller, id);
      const user = await database.transaction(async (tx) => {
        const locked = await lockForChange(tx, caller, id);
        assertVersion(locked, condition, noun);
        await deleteUser(tx, id);
        return locked;
      });
      authenticator.forgetUser(id);
      await cache.invalidate(usersTag);
      log.info('user.deleted', { user_id: id, email: user.email, by_user_id: caller.userId });
    },
  };

  /**
   * Locks the user to change, and checks that the caller still may change it. Users are locked in the order of their ids, so
   * that two admins who change each other do not deadlock. An API key acts only for its own user and was checked just
   * before.
   */
  async function lockForChange(tx: Sql, caller: Principal, id: number): Promise<User> {
    const check = () => (caller.kind === 'session' ? auth.requireAuthority(tx, caller) : undefined);
    if (caller.userId < id) await check();
    const user = found(await lockUser(tx, id), noun, id);
    if (caller.userId >= id) await check();
    return user;
  }

  /**
   * Compares the password for a new address, except for an admin who changes another user, whose password the admin cannot
   * know. Returns the hash that it was compared with, or undefined if the patch needs no password.
   */
  async function confirmNewEmail(
    caller: Principal,
    address: string,
    id: number,
    patch: UserPatch,
  ): Promise<string | undefined> {
    if (patch.email === undefined) return undefined;
    if (caller.kind !== 'session') {
      throw new AppError('forbidden', 'An API key cannot change the e-mail address: sign in to do so.');
    }
    if (caller.userId !== id) return undefined;
    if (patch.current_password === undefined) {
      throw invalidField('/current_password', 'A new e-mail address also needs your current password.');
    }
    const hash = await attempts.underPermit({ userId: id, address }, () =>
      comparePassword(id, address, patch),
    );
    await attempts.succeeded(found(await findUser(sql, id), noun, id), address);
    return hash;
  }

  /** Returns the hash of the current password if the patch has that password; otherwise rejects. */
  async function comparePassword(
    id: number,
    address: string,
    { current_password = '' }: UserPatch,
  ): Promise<string> {
    const hash = (await findPasswordHash(sql, id)) ?? '';
    const work = { signal: currentRequest()?.signal, source: clientKey(address) };
    if (await passwords.verify(current_password, hash, work)) return hash;
    log.warning('auth.email.change_refused', { user_id: id, client_address: address });
    throw invalidField('/current_password', 'This is not your current password: check it.');
  }

  /** Runs a write. If it violates a unique index, the error names all taken fields, not only the first. */
  async function explainConflict<T>(
    wanted: UserPatch,
    except: number | null,
    write: () => Promise<T>,
  ): Promise<T> {
    try {
      return await write();
    } catch (error) {
      const broken = takenField(error);
      if (broken === undefined) throw error;
      const taken = await findTakenFields(sql, wanted, except);
      throw conflict(taken.includes(broken) ? taken : [broken, ...taken]);
    }
  }
}

function assertMayActFor(caller: Principal, id: number): void {
  if (!mayActFor(caller, id)) throw notFound(noun, id);
}

/** Returns the fields that a patch changes, for the log. */
function changedFields(patch: UserPatch): string[] {
  return (['username', 'email'] as const).filter((field) => patch[field] !== undefined);
}

function assertNotTaken(fields: readonly UniqueField[]): void {
  if (fields.length > 0) throw conflict(fields);
}

const names = { username: 'username', email: 'e-mail address' };

function conflict(fields: readonly UniqueField[]): AppError {
  const what = fields.map((field) => names[field]).join(' and this ');
  return new AppError('conflict', `This ${what} ${fields.length > 1 ? 'are' : 'is'} taken: choose another.`, {
    errors: fields.map((field) => ({
      in: 'body',
      pointer: `/${field}`,
      detail: `This ${names[field]} is taken.`,
    })),
  });
}
