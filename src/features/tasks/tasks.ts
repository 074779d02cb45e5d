/**
 * Tasks: the jobs of users as the API shows them. A task can be read and cancelled by its user and by admins. For everyone
 * else it does not exist: they get 404 in any case.
 */

import type { Principal } from '../../auth/principal.ts';
import type { Database } from '../../db/database.ts';
import { AppError } from '../../errors.ts';
import type { EventStream } from '../../http/event-stream.ts';
import { assertVersion, notFound, type VersionCondition } from '../../http/parameters/versioned-row.ts';
import type { JobStatus } from '../../jobs/job.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { Logger } from '../../observability/logger.ts';
import { startedTask } from './schema.ts';
import { createTaskStreams, maySeeTask, type Viewer } from './streams.ts';
import { createJobWatch } from './watch.ts';

/** The response (202) of routes in other features that start a task. */
export { startedTask };

const noun = 'task';

/** Every method rejects with `not_found` for an unknown task or one of another user, or with a database AppError. */
export interface Tasks {
  get(caller: Principal, id: number): Promise<JobStatus>;
  /**
   * Cancels a task. Returns it as `cancelled`, or as `running` with a cancel request. A repeated call changes nothing. Rejects
   * with `conflict` for a task that has completed or failed, and with `precondition_failed` for a revision that the
   * caller's condition excludes.
   */
  cancel(caller: Principal, id: number, condition?: VersionCondition): Promise<JobStatus>;
  /** See `TaskStreams.open`. */
  watch(
    viewer: Viewer,
    id: number,
    lastEventId: string | undefined,
  ): Promise<EventStream<JobStatus> | undefined>;
}

export interface TasksOptions {
  readonly database: Database;
  readonly queue: Pick<Queue, 'find' | 'findMany' | 'cancel'>;
  readonly log: Logger;
}

export function createTaskService({ database, queue, log }: TasksOptions): Tasks {
  const { sql } = database;
  const { watch } = createJobWatch({ find: (ids) => queue.findMany(sql, ids) });
  const streams = createTaskStreams({ watch });

  async function get(caller: Principal, id: number): Promise<JobStatus> {
    const job = await queue.find(sql, id);
    if (job === undefined || !maySeeTask(caller, job)) throw notFound(noun, id);
    return job;
  }

  return {
    get,

    async cancel(caller, id, condition = () => true) {
      await get(caller, id);
      const cancelled = await database.transaction(async (tx) => {
        const each = await queue.cancel(tx, id);
        if (each === undefined) throw notFound(noun, id);
        // The condition is checked after the cancellation, because only now the row is locked.
        assertVersion({ version: each.job.revision - (each.isChanged ? 1 : 0) }, condition, noun);
        return each;
      });
      const { job, isChanged } = cancelled;
      if (job.state === 'completed' || job.state === 'failed') {
        throw new AppError('conflict', `The task has already ${job.state}, so it cannot be cancelled.`);
      }
      if (isChanged) {
        log.info('task.cancelled', {
          job_id: id,
          task: job.name,
          state: job.state,
          by_user_id: caller.userId,
        });
      }
      return job;
    },

    async watch(viewer, id, lastEventId) {
      return streams.open(await get(viewer.caller, id), viewer, lastEventId);
    },
  };
}
