import { parseApiKey } from '../../../auth/api-key.ts';
import type { ApiKeyPrincipal, Scope } from '../../../auth/principal.ts';
import type { Database } from '../../../db/database.ts';
import type { Logger } from '../../../observability/logger.ts';
import { runOutsideRequest } from '../../../observability/request-context.ts';
import { findLiveApiKey, recordUse } from './store.ts';

/** Whom a text stands for, if it is a key in force. Rejects with the AppErrors of the database. */
export type LoadApiKey = (text: string) => Promise<ApiKeyPrincipal | undefined>;

/**
 * For the authenticator. What is no key by its form and checksum costs no query. A use goes on record at most once a
 * minute, after the answer is known and without keeping it waiting.
 */
export function createLoadApiKey({
  database: { sql },
  scopes,
  log,
}: {
  readonly database: Database;
  /** The scopes that the program knows. */
  readonly scopes: readonly Scope[];
  readonly log: Logger;
}): LoadApiKey {
  return async function loadApiKey(text) {
    const key = parseApiKey(text);
    if (key === undefined) return undefined;
    const found = await findLiveApiKey(sql, key.hash);
    if (found === undefined) return undefined;
    if (found.record_use) {
      runOutsideRequest(() => recordUse(sql, found.id)).catch((error: unknown) =>
        log.warning('auth.api_key.use_unrecorded', { key_id: found.id, error }),
      );
    }
    return {
      kind: 'apiKey',
      keyId: found.id,
      userId: found.user_id,
      username: found.username,
      role: 'user',
      // A scope that the program no longer knows allows nothing.
      scopes: new Set(scopes.filter((scope) => found.scopes.includes(scope))),
    };
  };
}
