/**
 * A task as a stream of events: each event has the whole task as data and its revision as id.
 *
 *     opened ──> the task as it is, unless the client has it ──> every newer state of it ──> the final state ──> end
 *        └── at any time: the client leaves, its access ends, the task is deleted, the server drains ──> end
 *
 * The event is named `state` when the state, the attempt or a request to cancel is new to the client, else `progress`.
 * A client that comes again says in `Last-Event-ID` what it had last and is sent what is newer, so over all its
 * connections ids grow and never repeat. Once it has the final state it is told to stay away (`undefined` here, 204 on
 * the wire, for which an EventSource gives up: WHATWG HTML, section 9.2.2).
 *
 * Access is asked for again every `recheckMs`, by the credentials of the request: an access token that expires, a
 * session that is over, a key that is revoked ends the stream within that and the time for which the authenticator
 * believes the database. When the database does not answer, nobody loses access.
 */

import { mayActFor, type Principal } from '../../auth/principal.ts';
import { AppError } from '../../errors.ts';
import { EventStream, type ServerSentEvent } from '../../http/event-stream.ts';
import { createSerialiser } from '../../http/serialise.ts';
import { isFinished, type JobStatus } from '../../jobs/job.ts';
import { task } from './schema.ts';
import { viewTask } from './view.ts';
import type { JobWatch } from './watch.ts';

/** Who watches. */
export interface Viewer {
  readonly caller: Principal;
  /** Who that is by now; rejects with `unauthenticated` when the credentials are good no more. */
  readonly identify: () => Principal | Promise<Principal>;
}

export interface TaskStreams {
  /**
   * The stream of a job that the viewer may see. Undefined if there is nothing to come. Throws an AppError:
   * `rate_limited` for too many streams of one user, `overloaded` for too many of all.
   */
  open(job: JobStatus, viewer: Viewer, lastEventId: string | undefined): EventStream<JobStatus> | undefined;
}

export interface TaskStreamsOptions {
  readonly watch: JobWatch['watch'];
  /** How many streams this process has open at most, for one user and for all. */
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
      throw refusal('rate_limited', `You watch ${own} tasks already: close one of the streams first.`);
    }
    if (open >= maxOpen) throw refusal('overloaded', 'Too many tasks are being watched: try again shortly.');
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

      function look(now: JobStatus | undefined): void {
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

      const unwatch = watch(job.id, look);
      stream.once('close', () => {
        unwatch();
        release();
      });
      look(job);
      return stream;
    },
  };
}

/** A task is seen by the user for whom it was enqueued, and by admins; one of the system's own by admins alone. */
export function maySeeTask(caller: Principal, { userId }: JobStatus): boolean {
  return userId === null ? caller.role === 'admin' : mayActFor(caller, userId);
}

/** The revision that the client has; 0 for none, and for an id that no event of the task had. */
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

function refusal(code: 'rate_limited' | 'overloaded', detail: string): AppError {
  return new AppError(code, detail, { headers: { 'retry-after': '5' } });
}
