/**
 * Tasks: what users of the API see of the jobs that were enqueued for them. A task is seen and cancelled by the user for
 * whom it is and by admins; to anybody else it does not exist: 404, whether it does or not.
 */

import type { Principal } from '../../auth/principal.ts';
import type { Database } from '../../db/database.ts';
import { AppError } from '../../errors.ts';
import type { EventStream } from '../../http/event-stream.ts';
import { assertVersion, notFound, type VersionCondition } from '../../http/versioned-row.ts';
import type { JobStatus } from '../../jobs/job.ts';
import type { Queue } from '../../jobs/queue.ts';
import type { Logger } from '../../observability/logger.ts';
import { startedTask } from './schema.ts';
import { createTaskStreams, maySeeTask, type Viewer } from './streams.ts';
import { createJobWatch } from './watch.ts';

/** What a route of another feature that starts a task answers, with 202. */
export { startedTask };

const noun = 'task';

/** Each rejects with `not_found` for a task that there is not or that is not for the caller, and with the database's errors. */
export interface Tasks {
  get(caller: Principal, id: number): Promise<JobStatus>;
  /**
   * Cancels. The task comes back `cancelled`, or `running` and told to end. A second time changes nothing. Rejects with
   * `conflict` for a task that has ended otherwise, and with `precondition_failed` for one at a revision that the caller
   * did not want changed.
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

export function createTasks({ database, queue, log }: TasksOptions): Tasks {
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
        // Only now is the row locked, so that it has the revision that the condition is asked of.
        assertVersion({ version: each.job.revision - (each.isChanged ? 1 : 0) }, condition, noun);
        return each;
      });
      const { job, isChanged } = cancelled;
      if (job.state === 'completed' || job.state === 'failed') {
        throw new AppError('conflict', `The task has ${job.state} already: there is nothing left to cancel.`);
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
