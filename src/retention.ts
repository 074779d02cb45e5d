import type { Database } from './db/database.ts';
import { deleteOldTokens } from './features/account/store.ts';
import { deleteEndedApiKeys } from './features/api-keys/store.ts';
import { deleteOldAttempts } from './features/attempts/store.ts';
import { deleteEndedSessions } from './features/auth/store.ts';
import { deleteOldUploads } from './features/uploads/old-uploads.ts';
import { uploadsFolder } from './features/uploads/uploads.ts';
import { deleteExpiredKeys } from './idempotency/postgres.ts';
import { pruneJobs } from './jobs/store.ts';
import type { Chore } from './program/pruner.ts';
import type { Settings } from './settings/load.ts';

/** Every kind of row that ends by time, and the chores of jobs. How long a row stays after its end, its statement says. */
export function createChores(database: Database, settings: Settings): Chore[] {
  const { sql } = database;
  return [
    { name: 'sessions', deleteBatch: (limit) => deleteEndedSessions(sql, limit) },
    { name: 'one-time tokens', deleteBatch: (limit) => deleteOldTokens(sql, limit) },
    { name: 'API keys', deleteBatch: (limit) => deleteEndedApiKeys(sql, limit) },
    { name: 'attempts', deleteBatch: (limit) => deleteOldAttempts(sql, limit) },
    { name: 'idempotency keys', deleteBatch: (limit) => deleteExpiredKeys(sql, limit) },
    ...createJobChores(database, settings),
  ];
}

/**
 * Finished jobs, and the files that were uploaded for them; how long they stay, the settings say. Servers do these, and
 * so does what runs jobs: a server may have no jobs beside it, and jobs may run without a server.
 */
export function createJobChores({ sql }: Database, { application, tasks }: Settings): Chore[] {
  const { keepCompletedDays: completedDays, keepFailedDays: failedDays } = tasks;
  const folder = uploadsFolder(application.dataDir);
  return [
    { name: 'jobs', deleteBatch: (limit) => pruneJobs(sql, limit, { completedDays, failedDays }) },
    { name: 'uploads', deleteBatch: (limit) => deleteOldUploads({ folder, days: failedDays }, limit) },
  ];
}
