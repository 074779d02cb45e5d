/**
 * One worker process with its state (`worker-state.ts`), its deadlines and its last words. What is to be done on
 * entering a state is done here; which worker is to live or to go is decided in `worker-pool.ts`.
 *
 * A worker answers requests, or runs jobs. Its life is the same; it is made in another way, and named in another.
 */

import type { ChildProcess } from 'node:child_process';
import { createDeferred } from '../concurrency/deferred.ts';
import type { Logger } from '../observability/logger.ts';
import type { WorkerKind, WorkerReport } from './fleet.ts';
import { readToPrimary, type ToPrimary, type ToWorker } from './messages.ts';
import { noVitals } from './vitals.ts';
import {
  isUnplanned,
  nextState,
  type WorkerEndReason,
  type WorkerEvent,
  type WorkerState,
} from './worker-state.ts';

export interface WorkerOptions {
  readonly kind: WorkerKind;
  /** Makes the process, with a channel. Throws the system's error if there is no room for another. */
  readonly spawn: () => { readonly id: number; readonly child: ChildProcess };
  /** The count of reloads at its fork: one of a lower generation has older code and settings. */
  readonly generation: number;
  /** How long it may take to become ready, in milliseconds. */
  readonly startTimeoutMs: number;
  /** How long it may take to drain, in milliseconds, and how long when everything stops. */
  readonly drainTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly log: Logger;
  /** Gets what it says, but for what belongs to its own state. */
  readonly onMessage: (message: ToPrimary) => void;
}

/** Where it answers, or why it never will. */
export type Started = { readonly url: string } | { readonly error: string };

export interface WorkerEnd {
  readonly reason: WorkerEndReason;
  /** How long it had been ready, in milliseconds; 0 if it never was. */
  readonly readyMs: number;
}

export interface SupervisedWorker {
  readonly id: number;
  readonly generation: number;
  readonly state: WorkerState;
  /** When it last spoke, by `performance.now()`. */
  readonly heardAt: number;
  readonly started: Promise<Started>;
  /** Resolves when the process is gone and everything that it had sent has arrived. */
  readonly ended: Promise<WorkerEnd>;
  report(): WorkerReport;
  tell(message: ToWorker): void;
  /** Has it answer what it has and end. One that drains already only gets the deadline of `stopped`, if that is why. */
  drain(reason: WorkerEndReason): void;
  /** Ends it at once. */
  kill(reason: WorkerEndReason): void;
}

/** A worker that was never ready has no requests or jobs to finish, so it gets only this time to stop, in milliseconds. */
const unreadyMs = 2_000;

/** Makes a worker. Throws what `spawn` throws. */
export function superviseWorker(options: WorkerOptions): SupervisedWorker {
  const { kind, generation, log } = options;
  const { id, child } = options.spawn();
  const pid = child.pid ?? 0;
  const who = kind === 'jobs' ? { job_process: id, pid } : { worker: id, pid };
  const bornAt = performance.now();
  let state: WorkerState = 'starting';
  let reason: WorkerEndReason = 'crashed';
  let readyAt: number | undefined;
  let heardAt = bornAt;
  let vitals = noVitals;
  let deadline = setTimeout(() => kill('late'), options.startTimeoutMs);
  const started = createDeferred<Started>();
  const ended = createDeferred<WorkerEnd>();

  child.on('message', (message: unknown) => {
    heardAt = performance.now();
    const known = readToPrimary(message);
    if (known !== undefined) hear(known);
  });
  child.on('error', (error) => {
    log.warning('worker.failed', { ...who, error });
    // A process that could not be made has no end to wait for.
    if (child.pid === undefined) finish(null, null);
  });
  child.on('exit', (code, signal) => {
    // What it said last may still be on its way.
    if (child.connected) child.once('disconnect', () => finish(code, signal));
    else finish(code, signal);
  });

  function hear(message: ToPrimary): void {
    if (message.kind === 'ready') becomeReady(message.url);
    else if (message.kind === 'beat') vitals = message;
    else if (message.kind === 'failed') {
      log.error('worker.failed', { ...who, message: message.message });
      started.resolve({ error: message.message });
      drain('failed');
    } else options.onMessage(message);
  }

  function enter(event: WorkerEvent): boolean {
    const next = nextState(state, event);
    if (next === undefined) return false;
    state = next;
    clearTimeout(deadline);
    return true;
  }

  function becomeReady(url: string): void {
    if (!enter('ready')) return;
    readyAt = performance.now();
    log.info('worker.ready', { ...who, start_ms: Math.round(readyAt - bornAt) });
    started.resolve({ url });
  }

  function drain(why: WorkerEndReason): void {
    if (!enter('drain')) {
      if (why === 'stopped' && state === 'draining') setDeadline(why, options.stopTimeoutMs);
      return;
    }
    reason = why;
    log.info('worker.draining', { ...who, reason });
    tell({ kind: 'stop', takenOver: why !== 'stopped' });
    setDeadline(why, why === 'stopped' ? options.stopTimeoutMs : options.drainTimeoutMs);
  }

  function setDeadline(why: WorkerEndReason, ms: number): void {
    clearTimeout(deadline);
    const limit = readyAt === undefined ? Math.min(ms, unreadyMs) : ms;
    deadline = setTimeout(() => kill(why), limit);
  }

  function kill(why: WorkerEndReason): void {
    if (!enter('timeout')) return;
    reason = why;
    child.kill('SIGKILL');
  }

  function finish(code: number | null, signal: string | null): void {
    if (!enter('exit')) return;
    const fields = { ...who, code, signal, reason };
    if (isUnplanned(reason)) log.error('worker.exited', fields);
    else log.info('worker.exited', fields);
    started.resolve({ error: sentenceOf(reason, signal ?? `code ${code}`, options) });
    ended.resolve({ reason, readyMs: readyAt === undefined ? 0 : performance.now() - readyAt });
  }

  function tell(message: ToWorker): void {
    if (child.connected) child.send(message, () => {});
  }

  return {
    id,
    generation,
    get state() {
      return state;
    },
    get heardAt() {
      return heardAt;
    },
    started: started.promise,
    ended: ended.promise,
    report() {
      const now = performance.now();
      return {
        id,
        kind,
        pid,
        state,
        ageSeconds: secondsOf(now - bornAt),
        requests: vitals.requests,
        inFlight: vitals.inFlight,
        rssBytes: vitals.rssBytes,
        heapBytes: vitals.heapBytes,
        eventLoopLagMs: vitals.eventLoopLagMs,
        utilisation: vitals.utilisation,
        silentSeconds: secondsOf(now - heardAt),
      };
    },
    tell,
    drain,
    kill,
  };
}

function sentenceOf(reason: WorkerEndReason, how: string, { kind, startTimeoutMs }: WorkerOptions): string {
  const name = kind === 'jobs' ? 'The process that runs jobs' : 'A worker';
  if (reason === 'late') {
    return `${name} was not ready within ${startTimeoutMs / 1000} s: see the log for what it waits for, or raise APP_WORKER_START_TIMEOUT_SECONDS.`;
  }
  return `${name} ended before it was ready (${how}): the log and standard error say why.`;
}

function secondsOf(ms: number): number {
  return Math.round(ms / 100) / 10;
}
