/**
 * Supervises one child process: keeps its state, its timeouts and its latest report. `process-state.ts` has the transitions,
 * and this file performs the action of each; `process-pool.ts` decides when a process is started or stopped.
 *
 * The process is an HTTP worker or the jobs process. Both have the same states and messages, and differ in how they are
 * spawned and named in the log.
 */

import type { ChildProcess } from 'node:child_process';
import { createDeferred } from '../concurrency/deferred.ts';
import type { Logger } from '../observability/logger.ts';
import type { ProcessKind, ProcessReport } from './fleet.ts';
import { parseToSupervisor, type ToChild, type ToSupervisor } from './messages.ts';
import {
  isUnplanned,
  nextState,
  type ProcessEndReason,
  type ProcessEvent,
  type ProcessState,
} from './process-state.ts';
import type { SupervisionOptions } from './supervision.ts';
import { noVitals } from './vitals.ts';

export interface SupervisedProcessOptions
  extends Pick<SupervisionOptions, 'startTimeoutMs' | 'drainTimeoutMs' | 'stopTimeoutMs'> {
  readonly kind: ProcessKind;
  /** Creates the process, with a channel. Throws the system's error if no process can be created. */
  readonly spawn: () => { readonly id: number; readonly child: ChildProcess };
  /** The number of reloads before its fork. A process of a lower generation has older code and settings. */
  readonly generation: number;
  readonly log: Logger;
  /** Receives the messages that do not concern the state of the process itself. */
  readonly onMessage: (message: ToSupervisor) => void;
}

/** The address where the process answers, or a sentence on why it did not become ready. */
export type StartResult = { readonly url: string } | { readonly error: string };

export interface ProcessEnd {
  readonly reason: ProcessEndReason;
  /** How long the process had been ready, in milliseconds; 0 if it never was. */
  readonly readyMs: number;
}

export interface SupervisedProcess {
  readonly id: number;
  readonly generation: number;
  readonly state: ProcessState;
  /** The time of its last message by `performance.now()`. Every message counts as a heartbeat. */
  readonly lastHeartbeatAt: number;
  readonly started: Promise<StartResult>;
  /** Resolves when the process has exited and all messages that it had sent have arrived. */
  readonly ended: Promise<ProcessEnd>;
  report(): ProcessReport;
  send(message: ToChild): void;
  /** Lets the process finish its work and exit. If it drains already, `stopped` still sets the deadline of a stop. */
  drain(reason: ProcessEndReason): void;
  /** Kills it at once. */
  kill(reason: ProcessEndReason): void;
}

/** A process that was never ready has no request or job to finish, so it gets only this time to stop, in milliseconds. */
const unreadyMs = 2_000;

/** Spawns a process and supervises it. Throws what `spawn` throws. */
export function superviseProcess(options: SupervisedProcessOptions): SupervisedProcess {
  const { kind, generation, log } = options;
  const { id, child } = options.spawn();
  const pid = child.pid ?? 0;
  const who = kind === 'jobs' ? { job_process: id, pid } : { worker: id, pid };
  const spawnedAt = performance.now();
  let state: ProcessState = 'starting';
  let reason: ProcessEndReason = 'crashed';
  let readyAt: number | undefined;
  let lastHeartbeatAt = spawnedAt;
  let vitals = noVitals;
  let deadline = setTimeout(() => kill('late'), options.startTimeoutMs);
  const started = createDeferred<StartResult>();
  const ended = createDeferred<ProcessEnd>();

  child.on('message', (message: unknown) => {
    lastHeartbeatAt = performance.now();
    const known = parseToSupervisor(message);
    if (known !== undefined) handle(known);
  });
  child.on('error', (error) => {
    log.warning('process.failed', { ...who, error });
    // A process that could not be created emits no `exit`.
    if (child.pid === undefined) finish(null, null);
  });
  child.on('exit', (code, signal) => {
    // Its last messages may still be in the channel.
    if (child.connected) child.once('disconnect', () => finish(code, signal));
    else finish(code, signal);
  });

  function handle(message: ToSupervisor): void {
    if (message.kind === 'ready') becomeReady(message.url);
    else if (message.kind === 'beat') vitals = message;
    else if (message.kind === 'failed') {
      log.error('process.failed', { ...who, message: message.message });
      started.resolve({ error: message.message });
      drain('failed');
    } else options.onMessage(message);
  }

  /** Returns whether the event changes the state. */
  function transition(event: ProcessEvent): boolean {
    const next = nextState(state, event);
    if (next === undefined) return false;
    state = next;
    clearTimeout(deadline);
    return true;
  }

  function becomeReady(url: string): void {
    if (!transition('ready')) return;
    readyAt = performance.now();
    log.info('process.ready', { ...who, start_ms: Math.round(readyAt - spawnedAt) });
    started.resolve({ url });
  }

  function drain(why: ProcessEndReason): void {
    if (!transition('drain')) {
      if (why === 'stopped' && state === 'draining') setDeadline(why, options.stopTimeoutMs);
      return;
    }
    reason = why;
    log.info('process.draining', { ...who, reason });
    send({ kind: 'stop', takenOver: why !== 'stopped' });
    setDeadline(why, why === 'stopped' ? options.stopTimeoutMs : options.drainTimeoutMs);
  }

  function setDeadline(why: ProcessEndReason, ms: number): void {
    clearTimeout(deadline);
    const limitMs = readyAt === undefined ? Math.min(ms, unreadyMs) : ms;
    deadline = setTimeout(() => kill(why), limitMs);
  }

  function kill(why: ProcessEndReason): void {
    if (!transition('timeout')) return;
    reason = why;
    child.kill('SIGKILL');
  }

  function finish(code: number | null, signal: string | null): void {
    if (!transition('exit')) return;
    const fields = { ...who, code, signal, reason };
    if (isUnplanned(reason)) log.error('process.exited', fields);
    else log.info('process.exited', fields);
    started.resolve({ error: describeFailedStart(reason, signal ?? `code ${code}`, options) });
    ended.resolve({ reason, readyMs: readyAt === undefined ? 0 : performance.now() - readyAt });
  }

  function send(message: ToChild): void {
    if (child.connected) child.send(message, () => {});
  }

  return {
    id,
    generation,
    get state() {
      return state;
    },
    get lastHeartbeatAt() {
      return lastHeartbeatAt;
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
        ageSeconds: toSeconds(now - spawnedAt),
        requests: vitals.requests,
        inFlight: vitals.inFlight,
        rssBytes: vitals.rssBytes,
        heapBytes: vitals.heapBytes,
        eventLoopLagMs: vitals.eventLoopLagMs,
        utilisation: vitals.utilisation,
        secondsSinceHeartbeat: toSeconds(now - lastHeartbeatAt),
      };
    },
    send,
    drain,
    kill,
  };
}

function describeFailedStart(
  reason: ProcessEndReason,
  how: string,
  { kind, startTimeoutMs }: SupervisedProcessOptions,
): string {
  const name = kind === 'jobs' ? 'The process that runs jobs' : 'A worker';
  if (reason === 'late') {
    return `${name} was not ready within ${startTimeoutMs / 1000} s: see the log for the cause, or raise APP_WORKER_START_TIMEOUT_SECONDS.`;
  }
  return `${name} exited before it was ready (${how}): see the log and standard error for the cause.`;
}

function toSeconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
