import type { Database } from './db/database.ts';
import { deleteOldTokens } from './features/identity/account/store.ts';
import { deleteEndedApiKeys } from './features/identity/api-keys/store.ts';
import { deleteOldAttempts } from './features/identity/attempts/store.ts';
import { deleteEndedSessions } from './features/identity/auth/store.ts';
import { deleteOldUploads } from './features/uploads/old-uploads.ts';
import { uploadsFolder } from './features/uploads/uploads.ts';
import { deleteExpiredKeys } from './idempotency/postgres.ts';
import { pruneJobs } from './jobs/store.ts';
import type { RetentionRule } from './program/pruner.ts';
import type { Settings } from './settings/load.ts';

/** Returns the retention rules of a server. The SQL statement of each rule holds how long a row stays after its end. */
export function createRetentionRules(database: Database, settings: Settings): RetentionRule[] {
  const { sql } = database;
  return [
    { name: 'sessions', deleteBatch: (limit) => deleteEndedSessions(sql, limit) },
    { name: 'one-time tokens', deleteBatch: (limit) => deleteOldTokens(sql, limit) },
    { name: 'API keys', deleteBatch: (limit) => deleteEndedApiKeys(sql, limit) },
    { name: 'attempts', deleteBatch: (limit) => deleteOldAttempts(sql, limit) },
    { name: 'idempotency keys', deleteBatch: (limit) => deleteExpiredKeys(sql, limit) },
    ...createJobRetentionRules(database, settings),
  ];
}

/**
 * Returns the rules for finished jobs and the files uploaded for them; the settings hold their retention. Servers and
 * job processes both apply these rules, since either may run without the other.
 */
export function createJobRetentionRules(
  { sql }: Database,
  { application, tasks }: Settings,
): RetentionRule[] {
  const { keepCompletedDays: completedDays, keepFailedDays: failedDays } = tasks;
  const folder = uploadsFolder(application.dataDir);
  return [
    { name: 'jobs', deleteBatch: (limit) => pruneJobs(sql, limit, { completedDays, failedDays }) },
    { name: 'uploads', deleteBatch: (limit) => deleteOldUploads({ folder, days: failedDays }, limit) },
  ];
}
