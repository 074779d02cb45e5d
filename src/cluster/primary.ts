/**
 * The primary of several workers. It runs no user code and answers no request: it forks the workers, replaces those
 * that die, decides on permits for all of them, and ends them together.
 *
 *     starting --all ready--> running --stop()--> stopping --all gone--> ended
 *         |                      |
 *         | a worker fails       | a worker dies: a new one after a delay that grows with each death
 *         v                      v
 *     ended, with its sentence   running
 *
 * Invariants: after `stop` no worker is forked; a worker whose primary is gone ends by itself (worker.ts); a worker
 * that fails before the first start was complete ends the whole, since a new one would fail the same way.
 */

import cluster, { type Worker } from 'node:cluster';
import { StartError } from '../errors.ts';
import type { MemoryLimitStore } from '../limits/memory.ts';
import { createPrimaryLimits, type PrimaryLimits } from '../limits/primary-limits.ts';
import type { Logger } from '../observability/logger.ts';
import { readToPrimary, type ToPrimary, type ToWorker } from './messages.ts';

export interface PrimaryOptions {
  readonly workers: number;
  readonly databaseUrl: string | null;
  readonly log: Logger;
  /** The permits of all workers. */
  readonly limitStore: MemoryLimitStore;
  /** How long workers may drain, in milliseconds; then they are killed. */
  readonly graceMs: number;
}

export interface Primary {
  /** Where the workers listen. */
  readonly url: string;
  /** Drains all workers and waits for their end. Idempotent. */
  stop(): Promise<void>;
}

const firstDelayMs = 100;
const longestDelayMs = 10_000;

/** Forks the workers and resolves when all of them answer. Rejects with a StartError if one cannot. */
export function startPrimary(options: PrimaryOptions): Promise<Primary> {
  const { workers: count, log, limitStore } = options;
  const live = new Set<Worker>();
  let stopping: Promise<void> | undefined;
  let running = false;
  let delayMs = firstDelayMs;

  return new Promise((resolve, reject) => {
    const ready = new Set<Worker>();

    const fork = () => {
      const worker = cluster.fork();
      live.add(worker);
      const limits = createPrimaryLimits(limitStore);
      worker.on('message', (message: unknown) => {
        const known = readToPrimary(message);
        if (known !== undefined) receive(worker, limits, known);
      });
      worker.on('exit', (code, signal) => onExit(worker, code, signal));
      worker.on('error', (error) => log.warning('worker.failed', { worker: worker.id, error }));
    };

    const receive = (worker: Worker, limits: PrimaryLimits, message: ToPrimary) => {
      if (message.kind === 'hello') {
        tell(worker, { kind: 'begin', databaseUrl: options.databaseUrl });
      } else if (message.kind === 'limit') {
        limits.define(message);
      } else if (message.kind === 'take') {
        const answer = limits.decide(message);
        if (answer !== undefined) tell(worker, { kind: 'decision', ...answer });
      } else if (message.kind === 'failed') {
        if (!running) fail(new StartError(message.message));
      } else {
        ready.add(worker);
        log.info('worker.ready', { worker: worker.id, pid: worker.process.pid });
        if (running) delayMs = firstDelayMs;
        if (!running && ready.size === count) {
          running = true;
          resolve({ url: message.url, stop });
        }
      }
    };

    const onExit = (worker: Worker, code: number | null, signal: string | null) => {
      live.delete(worker);
      if (stopping !== undefined) return;
      log.error('worker.exited', { worker: worker.id, pid: worker.process.pid, code, signal });
      if (!running) {
        fail(
          new StartError(
            `A worker ended before it was ready (${signal ?? `code ${code}`}); the log says why.`,
          ),
        );
        return;
      }
      setTimeout(() => {
        if (stopping === undefined) fork();
      }, delayMs);
      delayMs = Math.min(delayMs * 2, longestDelayMs);
    };

    const fail = (error: StartError) => {
      void stop().then(() => reject(error));
    };

    for (let index = 0; index < count; index += 1) fork();
  });

  function stop(): Promise<void> {
    stopping ??= stopWorkers();
    return stopping;
  }

  async function stopWorkers(): Promise<void> {
    const ends = [...live].map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    for (const worker of live) tell(worker, { kind: 'stop' });
    const timer = setTimeout(() => {
      for (const worker of live) worker.process.kill('SIGKILL');
    }, options.graceMs);
    await Promise.all(ends);
    clearTimeout(timer);
  }
}

/** A worker that is gone gets no message; its end is told by 'exit'. */
function tell(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => {});
}
