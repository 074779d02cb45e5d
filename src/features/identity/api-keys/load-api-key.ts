import { parseApiKey } from '../../../auth/api-key.ts';
import type { ApiKeyPrincipal, Scope } from '../../../auth/principal.ts';
import type { Database } from '../../../db/database.ts';
import type { Logger } from '../../../observability/logger.ts';
import { runOutsideRequest } from '../../../observability/request-context.ts';
import { findLiveApiKey, recordUse } from './store.ts';

/** Returns the principal of a valid key, or undefined. Rejects with a database AppError. */
export type LoadApiKey = (text: string) => Promise<ApiKeyPrincipal | undefined>;

/**
 * Creates the look-up of the authenticator. A text with the wrong form or checksum costs no query. The time of the last use
 * is recorded at most once per minute, in the background.
 */
export function createLoadApiKey({
  database: { sql },
  scopes,
  log,
}: {
  readonly database: Database;
  /** The scopes that the program declares. */
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
      // A stored scope that the program no longer declares allows nothing.
      scopes: new Set(scopes.filter((scope) => found.scopes.includes(scope))),
    };
  };
}
