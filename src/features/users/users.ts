/**
 * Users: who registers, under which rules they change, and what the log hears of it. A name or an address that is
 * taken is refused by the unique indexes of the table, where two requests at the same instant cannot both pass;
 * the questions asked before and after only make the refusal early and complete.
 */

import type { PasswordHasher } from '../../auth/password.ts';
import type { Database } from '../../db/database.ts';
import { type Keyset, type KeysetPage, keysetPage } from '../../db/keyset.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import { currentRequest } from '../../observability/request-context.ts';
import type { NewUser, UserPatch } from './schema.ts';
import {
  deleteUser,
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

/** Whether the caller wants the change although the row has this version by now. */
type VersionCondition = (version: number) => boolean;

/**
 * Each rejects with an AppError: `not_found` for an id that nobody has, `conflict` for a taken name or address,
 * `precondition_failed` for a version that the caller did not want changed, and those of the database.
 */
export interface Users {
  register(newUser: NewUser): Promise<User>;
  get(id: number): Promise<User>;
  list(keyset: Keyset): Promise<KeysetPage<User>>;
  update(id: number, patch: UserPatch, condition: VersionCondition): Promise<User>;
  /** Deletes the user and everything that belongs to it. */
  remove(id: number, condition: VersionCondition): Promise<void>;
}

export interface UsersOptions {
  readonly database: Database;
  readonly passwords: PasswordHasher;
  readonly log: Logger;
}

export function createUsers({ database, passwords, log }: UsersOptions): Users {
  const { sql } = database;
  return {
    async register(newUser) {
      // Hashing is dear: what is going to be refused, and a database that is not there, are found out before.
      refuseTaken(await findTakenFields(sql, newUser, null));
      const passwordHash = await passwords.hash(newUser.password, currentRequest()?.signal);
      const user = await explainConflict(newUser, null, () => insertUser(sql, { ...newUser, passwordHash }));
      log.info('user.created', { user_id: user.id, email: user.email });
      return user;
    },

    async get(id) {
      return found(await findUser(sql, id), id);
    },

    async list(keyset) {
      return keysetPage(await listUsers(sql, keyset), keyset);
    },

    async update(id, patch, condition) {
      const user = await explainConflict(patch, id, () =>
        database.transaction(async (tx) => {
          requireVersion(found(await lockUser(tx, id), id), condition);
          return updateUser(tx, id, patch);
        }),
      );
      log.info('user.updated', { user_id: user.id, email: user.email, fields: Object.keys(patch) });
      return user;
    },

    async remove(id, condition) {
      const user = await database.transaction(async (tx) => {
        const locked = found(await lockUser(tx, id), id);
        requireVersion(locked, condition);
        await deleteUser(tx, id);
        return locked;
      });
      log.info('user.deleted', { user_id: user.id, email: user.email });
    },
  };

  /** Runs a write; when it breaks a unique index, says of every field whether it is taken, not only of the first. */
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

function found(user: User | undefined, id: number): User {
  if (user === undefined) throw new AppError('not_found', `There is no user with the id ${id}.`);
  return user;
}

function requireVersion({ version }: User, condition: VersionCondition): void {
  if (condition(version)) return;
  throw new AppError(
    'precondition_failed',
    'The user has been changed meanwhile: read it again, and repeat with its new ETag.',
  );
}

function refuseTaken(fields: readonly UniqueField[]): void {
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
