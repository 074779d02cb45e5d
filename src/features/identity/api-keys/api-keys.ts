/**
 * API keys: what a user lets programs do in the user's name.
 *
 * - A key has the scopes that it was made with and never a role: also the key of an admin acts as a plain user. What only
 *   an admin may do needs somebody who has signed in, so that a key in a forgotten script cannot take over the service.
 * - A key cannot make, list or revoke keys; the routes ask for a user who has signed in. A stolen key ends with its
 *   expiry, and does not renew itself.
 * - Keys outlive a change of password: they were made to run unattended, and a password that is changed by habit must not
 *   stop them. Who fears that somebody else was in the account finds them in the list and revokes them there.
 * - Keys do not outlive a reset of the password. Who resets it may show for the first time that the mailbox is theirs,
 *   and the keys may be of somebody who registered with it before.
 * - A key outlives the session that makes it, so that session must be live when the key is made, by the database and not
 *   by what the authenticator remembers: who has just been signed out does not come back by a key.
 * - Deleting the user deletes the keys.
 *
 * A key that is revoked is refused at once by the process that revoked it and elsewhere as soon as the authenticator
 * asks again, which SECURITY_SESSION_RECHECK_SECONDS says; the same holds for one that expires.
 */

import { makeApiKey } from '../../../auth/api-key.ts';
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
  lockOwner,
  type StoredApiKey,
} from './store.ts';

/** Each rejects with the AppErrors of the database, and with those that it names. */
export interface ApiKeys {
  /**
   * Makes a key of the caller; `key` is what the program will send. Rejects with `conflict` when the user has as many as
   * one may have, with `not_found` when the user is gone, with `unauthenticated` when the caller's session is over.
   */
  create(caller: SessionPrincipal, newApiKey: NewApiKey): Promise<StoredApiKey & { readonly key: string }>;
  /** The keys of a user, the newest first; also those that ended in the last 30 days. */
  list(userId: number): Promise<StoredApiKey[]>;
  /** Ends a key. Rejects with `not_found` for one that the user does not have. */
  revoke(userId: number, id: number): Promise<void>;
  /**
   * Ends all keys of a user, in the caller's transaction, which has locked the user. Call what it resolves to when that
   * is committed: it makes this process ask again for the keys that ended, and tells the log.
   */
  revokeAll(tx: Sql, userId: number): Promise<() => void>;
}

export interface ApiKeysOptions {
  readonly database: Database;
  readonly authenticator: Pick<Authenticator, 'forgetApiKey'>;
  readonly auth: Pick<Auth, 'requireAuthority'>;
  readonly log: Logger;
}

/** The most keys in force that a user can have. */
const maxKeys = 20;

export function createApiKeys({ database, authenticator, auth, log }: ApiKeysOptions): ApiKeys {
  return {
    async create(caller, newApiKey) {
      const { userId } = caller;
      const key = makeApiKey();
      const stored = await database.transaction(async (tx) => {
        if (!(await lockOwner(tx, userId)))
          throw new AppError('not_found', 'This account is gone: sign in with another.');
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
    `An account can have ${maxKeys} API keys in force: revoke one that you no longer need.`,
  );
}
