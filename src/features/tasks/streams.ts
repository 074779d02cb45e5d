/**
 * A task as a stream of server-sent events. Each event has the whole task as data and its revision as id.
 *
 *     open ──> current state, unless the client has it ──> newer states ──> final state ──> close
 *        └── at any time: the client disconnects, its access expires, the task is deleted, the server drains ──> close
 *
 * The event is named `state` when the state, the attempt or a cancel request is new to the client, and `progress` otherwise.
 * A client that reconnects sends its last id in `Last-Event-ID` and gets only newer states, so ids increase over all of its
 * connections and never repeat. A client that already has the final state gets no stream (`undefined` here, status 204,
 * after which an EventSource does not reconnect: WHATWG HTML, section 9.2.2).
 *
 * Access is checked again every `recheckMs` with the credentials of the request. After an access token has expired, a session
 * has ended or a key was revoked, the stream closes within that time plus the time for which the authenticator caches
 * credentials. While the database does not answer, streams stay open.
 */

import { mayActFor, type Principal } from '../../auth/principal.ts';
import { AppError } from '../../errors.ts';
import { EventStream, type ServerSentEvent } from '../../http/event-stream.ts';
import { createSerialiser } from '../../http/serialise.ts';
import { isFinished, type JobStatus } from '../../jobs/job.ts';
import { task } from './schema.ts';
import { viewTask } from './view.ts';
import type { JobWatch } from './watch.ts';

/** The caller that watches a task. */
export interface Viewer {
  readonly caller: Principal;
  /** Identifies the caller again. Rejects with `unauthenticated` if the credentials are no longer valid. */
  readonly identify: () => Principal | Promise<Principal>;
}

export interface TaskStreams {
  /**
   * Opens the stream of a job that the viewer may see. Returns undefined if the client has the final state. Throws an
   * AppError: `rate_limited` for too many streams of one user, `overloaded` for too many streams in total.
   */
  open(job: JobStatus, viewer: Viewer, lastEventId: string | undefined): EventStream<JobStatus> | undefined;
}

export interface TaskStreamsOptions {
  readonly watch: JobWatch['watch'];
  /** Maximum number of open streams in this process, per user and in total. */
  readonly maxPerUser?: number;
  readonly maxOpen?: number;
  readonly recheckMs?: number;
  readonly heartbeatMs?: number;
}

export function createTaskStreams(options: TaskStreamsOptions): TaskStreams {
  const { watch, maxPerUser = 20, maxOpen = 1_000, recheckMs = 1_000, heartbeatMs } = options;
  const openOf = new Map<number, number>();
  let open = 0;

  function take(userId: number): () => void {
    const own = openOf.get(userId) ?? 0;
    if (own >= maxPerUser) {
      throw rejection('rate_limited', `You already watch ${own} tasks: close one of the streams first.`);
    }
    if (open >= maxOpen)
      throw rejection('overloaded', 'Too many tasks are being watched: try again shortly.');
    openOf.set(userId, own + 1);
    open += 1;
    return () => {
      const left = (openOf.get(userId) ?? 1) - 1;
      if (left === 0) openOf.delete(userId);
      else openOf.set(userId, left);
      open -= 1;
    };
  }

  return {
    open(job, { caller, identify }, lastEventId) {
      let shown = seenRevision(job, lastEventId);
      if (shown === job.revision && isFinished(job.state)) return undefined;
      const release = take(caller.userId);
      const stream = new EventStream<JobStatus>({
        render: eventOf,
        ...(heartbeatMs !== undefined && { heartbeatMs }),
      });
      let checkedAt = performance.now();

      function update(now: JobStatus | undefined): void {
        if (now !== undefined && now.revision > shown) {
          shown = now.revision;
          stream.show(now);
        }
        if (now === undefined || isFinished(now.state)) {
          unwatch();
          stream.finish();
        } else if (performance.now() - checkedAt >= recheckMs) {
          checkedAt = performance.now();
          void recheck(now);
        }
      }

      async function recheck(now: JobStatus): Promise<void> {
        try {
          if (!maySeeTask(await identify(), now)) stream.finish();
        } catch (error) {
          if (error instanceof AppError && error.code === 'unauthenticated') stream.finish();
        }
      }

      const unwatch = watch(job.id, update);
      stream.once('close', () => {
        unwatch();
        release();
      });
      update(job);
      return stream;
    },
  };
}

/** Whether the caller may see a task: the user for whom it was enqueued and admins may, and for system tasks only admins. */
export function maySeeTask(caller: Principal, { userId }: JobStatus): boolean {
  return userId === null ? caller.role === 'admin' : mayActFor(caller, userId);
}

/** Returns the revision that the client has; 0 if it has none or its id is unknown. */
function seenRevision({ revision }: JobStatus, lastEventId: string | undefined): number {
  const seen = /^[0-9]{1,15}$/.test(lastEventId ?? '') ? Number(lastEventId) : 0;
  return seen <= revision ? seen : 0;
}

const serialise = createSerialiser(task, 'GET /tasks/:id/events');

function eventOf(now: JobStatus, before: JobStatus | undefined): ServerSentEvent {
  const sameState =
    now.state === before?.state &&
    now.attempt === before.attempt &&
    now.cancelRequested === before.cancelRequested;
  return {
    id: String(now.revision),
    event: sameState ? 'progress' : 'state',
    data: serialise(viewTask(now)),
  };
}

function rejection(code: 'rate_limited' | 'overloaded', detail: string): AppError {
  return new AppError(code, detail, { headers: { 'retry-after': '5' } });
}
