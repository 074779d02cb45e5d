/**
 * Uploads: files that clients send for processing in the background. A file is in the folder of uploads until its task has
 * processed it; it cannot be downloaded.
 *
 * The task is enqueued when the file is complete and synced to disk. If that fails, the file is removed and the request
 * fails. Files that remain after a killed process or a refused or failed task are deleted by age: `deleteOldUploads`.
 */

import { join } from 'node:path';
import type { SessionPrincipal } from '../../auth/principal.ts';
import type { Database } from '../../db/database.ts';
import type { UploadedFile } from '../../http/body/uploaded-file.ts';
import type { Job } from '../../jobs/job.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { Logger } from '../../observability/logger.ts';
import type { CounterSeries } from '../../observability/metrics/metrics.ts';
import type { Identity } from '../identity/identity.ts';
import { importUsers } from './tasks.ts';

export interface Uploads {
  /**
   * Starts the import of the users in a file. The file may have taken long to arrive, so the caller is checked again.
   * Rejects with `unauthenticated`, `forbidden`, or a database AppError.
   */
  importUsers(caller: SessionPrincipal, file: UploadedFile): Promise<Job>;
}

export interface UploadsOptions {
  readonly database: Database;
  readonly queue: Queue;
  readonly requireAuthority: Identity['requireAuthority'];
  /** Counts the bytes of the files. */
  readonly bytes: Pick<CounterSeries, 'add'>;
  readonly log: Logger;
}

/** Returns the folder of uploads in the data folder. */
export function uploadsFolder(dataDir: string): string {
  return join(dataDir, 'uploads');
}

export function createUploads(options: UploadsOptions): Uploads {
  const { database, queue, requireAuthority, log } = options;
  return {
    async importUsers(caller, { id, bytes, sha256 }) {
      const { userId } = caller;
      const { job } = await database.transaction(async (tx) => {
        await requireAuthority(tx, caller);
        return queue.enqueue(tx, importUsers, { file: id }, { userId });
      });
      options.bytes.add(bytes);
      log.info('upload.received', { user_id: userId, task_id: job.id, file: id, bytes, sha256 });
      return job;
    },
  };
}
