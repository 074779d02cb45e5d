import { pluralType } from './feature-text.ts';
import type { ResourceName } from './name.ts';

/** The rules of a generated feature: who may do what, in which transaction. */
export function featureRules({ many, one, type, aOne }: ResourceName): string {
  const Many = pluralType(many);
  return `/**
 * ${Many} belong to users and are deleted with them. Only the owner and admins can see one; for everyone else it does not
 * exist, so that callers cannot find out which ids are in use.
 */

import { mayActFor, type Principal } from '../../auth/principal.ts';
import type { Database } from '../../db/database.ts';
import { type Keyset, type KeysetPage, keysetPage } from '../../db/keyset.ts';
import type { BeforeCommit } from '../../db/transaction.ts';
import { AppError } from '../../errors.ts';
import { assertVersion, notFound, type VersionCondition } from '../../http/parameters/versioned-row.ts';
import type { Logger } from '../../observability/logger.ts';
import type { CounterSeries } from '../../observability/metrics/metrics.ts';
import type { New${type}, ${type}Patch } from './schema.ts';
import {
  delete${type},
  find${type},
  insert${type},
  isUnknown${type}Owner,
  list${Many},
  lock${type},
  type ${type},
  type ${type}Filter,
  update${type},
} from './store.ts';

export type { ${type} };

const noun = '${one}';

export interface ${type}Change {
  readonly caller: Principal;
  readonly id: number;
  readonly patch: ${type}Patch;
  readonly condition: VersionCondition;
}

/**
 * Every method rejects with an AppError: \`not_found\` for ${aOne} that does not exist or belongs to another user,
 * \`precondition_failed\` for a version that the caller did not want to change, and those of the database.
 */
export interface ${Many} {
  create(owner: Principal, fields: New${type}, beforeCommit?: BeforeCommit<${type}>): Promise<${type}>;
  get(caller: Principal, id: number): Promise<${type}>;
  /** The ${many} of the caller, newest first. */
  list(caller: Principal, keyset: Keyset, filter: ${type}Filter): Promise<KeysetPage<${type}>>;
  update(change: ${type}Change, beforeCommit?: BeforeCommit<${type}>): Promise<${type}>;
  remove(caller: Principal, id: number, condition: VersionCondition): Promise<void>;
}

export interface ${Many}Options {
  readonly database: Database;
  readonly log: Logger;
  /** Counts created ${many}. */
  readonly created: Pick<CounterSeries, 'add'>;
}

export function create${Many}({ database, log, created }: ${Many}Options): ${Many} {
  const { sql } = database;
  return {
    async create(owner, fields, beforeCommit) {
      const creating = database.transaction(async (tx) => {
        const inserted = await insert${type}(tx, owner.userId, fields);
        await beforeCommit?.(tx, inserted);
        return inserted;
      });
      const ${one} = await creating.catch((error: unknown) => {
        throw isUnknown${type}Owner(error) ? ownerIsDeleted() : error;
      });
      created.add();
      log.info('${one}.created', { ${one}_id: ${one}.id, owner_id: ${one}.owner_id });
      return ${one};
    },

    async get(caller, id) {
      return visible(await find${type}(sql, id), caller, id);
    },

    async list(caller, keyset, filter) {
      return keysetPage(await list${Many}(sql, keyset, caller.userId, filter), keyset);
    },

    async update({ caller, id, patch, condition }, beforeCommit) {
      const ${one} = await database.transaction(async (tx) => {
        assertVersion(visible(await lock${type}(tx, id), caller, id), condition, noun);
        const updated = await update${type}(tx, id, patch);
        await beforeCommit?.(tx, updated);
        return updated;
      });
      log.info('${one}.updated', {
        ${one}_id: id,
        owner_id: ${one}.owner_id,
        fields: Object.keys(patch),
        by_user_id: caller.userId,
      });
      return ${one};
    },

    async remove(caller, id, condition) {
      const ${one} = await database.transaction(async (tx) => {
        const locked = visible(await lock${type}(tx, id), caller, id);
        assertVersion(locked, condition, noun);
        await delete${type}(tx, id);
        return locked;
      });
      log.info('${one}.deleted', { ${one}_id: id, owner_id: ${one}.owner_id, by_user_id: caller.userId });
    },
  };
}

/** Returns the row if it exists and the caller may see it. Otherwise throws \`not_found\`. */
function visible(${one}: ${type} | undefined, caller: Principal, id: number): ${type} {
  if (${one} !== undefined && mayActFor(caller, ${one}.owner_id)) return ${one};
  throw notFound(noun, id);
}

/** A credential stays valid for some seconds after its user was deleted by another process. */
function ownerIsDeleted(): AppError {
  return new AppError('forbidden', 'Your account has been deleted, so it can own no ${many}.');
}
`;
}
