/**
 * API keys let programs act for a user.
 *
 * - A key has the scopes that it was created with and never a role: even the key of an admin acts as a plain user. Admin
 *   operations need a signed-in user, so that a key in a forgotten script cannot take over the service.
 * - A key cannot create, list or revoke keys; these routes need a signed-in user. A stolen key expires and cannot renew
 *   itself.
 * - Keys survive a password change: they run unattended, and a routine change must not stop them. A user who suspects
 *   misuse finds the keys in the list and revokes them.
 * - A password reset revokes all keys. The user who resets it may prove for the first time that the mailbox is theirs, and
 *   the keys may belong to an earlier registrant of the address.
 * - A key outlives the session that creates it, so the database, not the authenticator's cache, must confirm that the
 *   session is live: a user who was just signed out cannot come back with a key.
 * - Deleting the user deletes the keys.
 *
 * A revoked or expired key is rejected immediately by the process that revoked it, and by other processes within
 * SECURITY_SESSION_RECHECK_SECONDS, when their authenticator asks the database again.
 */

import { createApiKey } from '../../../auth/api-key.ts';
import type { Authenticator } from '../../../auth/authenticator.ts';
import type { SessionPrincipal } from '../../../auth/principal.ts';
import type { Database } from '../../../db/database.ts';
import type { Sql } from '../../../db/sql.ts';
import { AppError } from '../../../errors.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Auth } from '../auth/auth.ts';
import type { NewApiKey } from './schema.ts';
import {
  countLiveApiKeys,
  deleteApiKey,
  deleteApiKeysOf,
  insertApiKey,
  listApiKeys,
  lockKeyOwner,
  type StoredApiKey,
} from './store.ts';

/** Every method can also reject with a database AppError. */
export interface ApiKeys {
  /**
   * Creates a key for the caller; programs send `key`. Rejects with `conflict` if the user has the maximum number of
   * keys, `not_found` if the user was deleted, and `unauthenticated` if the caller's session has ended.
   */
  create(caller: SessionPrincipal, newApiKey: NewApiKey): Promise<StoredApiKey & { readonly key: string }>;
  /** Lists the keys of a user, newest first, including those that expired in the last 30 days. */
  list(userId: number): Promise<StoredApiKey[]>;
  /** Revokes a key. Rejects with `not_found` if the user has no such key. */
  revoke(userId: number, id: number): Promise<void>;
  /**
   * Revokes all keys of a user, in the caller's transaction, which has locked the user. Call the returned function after
   * the commit: it removes the keys from this process's cache and logs the event.
   */
  revokeAll(tx: Sql, userId: number): Promise<() => void>;
}

export interface ApiKeysOptions {
  readonly database: Database;
  readonly authenticator: Pick<Authenticator, 'forgetApiKey'>;
  readonly auth: Pick<Auth, 'requireAuthority'>;
  readonly log: Logger;
}

/** The maximum number of valid keys per user. */
const maxKeys = 20;

export function createApiKeys({ database, authenticator, auth, log }: ApiKeysOptions): ApiKeys {
  return {
    async create(caller, newApiKey) {
      const { userId } = caller;
      const key = createApiKey();
      const stored = await database.transaction(async (tx) => {
        if (!(await lockKeyOwner(tx, userId)))
          throw new AppError('not_found', 'This account was deleted: sign in with another one.');
        await auth.requireAuthority(tx, caller);
        if ((await countLiveApiKeys(tx, userId)) >= maxKeys) throw tooMany();
        return insertApiKey(tx, userId, key, newApiKey);
      });
      log.info('auth.api_key.created', {
        user_id: userId,
        key_id: stored.id,
        prefix: key.prefix,
        scopes: newApiKey.scopes,
        expires_at: stored.expires_at,
      });
      return { ...stored, key: key.text };
    },

    list(userId) {
      return listApiKeys(database.sql, userId);
    },

    async revoke(userId, id) {
      const revoked = await deleteApiKey(database.sql, userId, id);
      if (revoked === undefined) throw new AppError('not_found', `You have no API key with the id ${id}.`);
      authenticator.forgetApiKey(id);
      log.info('auth.api_key.revoked', { user_id: userId, key_id: id, prefix: revoked.prefix });
    },

    async revokeAll(tx, userId) {
      const ids = await deleteApiKeysOf(tx, userId);
      return () => {
        for (const id of ids) authenticator.forgetApiKey(id);
        log.info('auth.api_keys.revoked', { user_id: userId, count: ids.length });
      };
    },
  };
}

function tooMany(): AppError {
  return new AppError(
    'conflict',
    `An account can have at most ${maxKeys} valid API keys: revoke one that you no longer need.`,
  );
}
