/**
 * Uploads: files that a client sends for something to be done with them in the background. A file stands in the folder
 * of uploads until its task has done it; nobody gets it back.
 *
 * The task is enqueued when the file is whole and written through to the disk. If that fails, the file goes again, with the
 * refusal of the request. What is left behind, when a process is killed in between or a task refuses the file or gives
 * up, is deleted by age: `deleteOldUploads`.
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
   * Starts the import of the users in a file. The file may have taken long to arrive, so the caller is checked again:
   * rejects with `unauthenticated` or `forbidden`, and with the errors of the database.
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

/** The folder of uploads, in the one for everything that is kept on disk. */
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
