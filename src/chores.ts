import type { Database } from './db/database.ts';
import { deleteOldTokens } from './features/account/store.ts';
import { deleteEndedApiKeys } from './features/api-keys/store.ts';
import { deleteOldAttempts } from './features/attempts/store.ts';
import { deleteEndedSessions } from './features/auth/store.ts';
import type { Chore } from './housekeeping.ts';
import { deleteExpiredKeys } from './idempotency/postgres.ts';

/** Every kind of row that ends by time. How long each stays after its end, its own statement says. */
export function createChores({ sql }: Database): Chore[] {
  return [
    { name: 'sessions', deleteBatch: (limit) => deleteEndedSessions(sql, limit) },
    { name: 'one-time tokens', deleteBatch: (limit) => deleteOldTokens(sql, limit) },
    { name: 'API keys', deleteBatch: (limit) => deleteEndedApiKeys(sql, limit) },
    { name: 'attempts', deleteBatch: (limit) => deleteOldAttempts(sql, limit) },
    { name: 'idempotency keys', deleteBatch: (limit) => deleteExpiredKeys(sql, limit) },
  ];
}
