/**
 * New code and new settings without an interruption: for each worker a new one is forked, and when that answers, an
 * old one drains. The first new one is the canary: nothing else changes until it has stayed up for a while.
 *
 *     old old old     old old old new?     old old new      old new new      new new new
 *                     the canary           it stayed up     one by one
 *
 * If a new worker fails, does not become ready in time, or dies, the reload stops there: it is ended, and those that
 * are left serve on. Before the canary has passed these are all of the old ones. One of them that dies meanwhile is
 * replaced by a worker of the old version (worker-pool.ts), which is kept for that (../kept-program.ts).
 */

import { withTimeout } from '../concurrency/with-timeout.ts';
import type { SupervisedWorker } from './supervised-worker.ts';
import type { Exchange, WorkerPool } from './worker-pool.ts';

export interface ReloadTerms {
  /** How many workers there shall be afterwards. */
  readonly workers: number;
  /** How long the first new one must stay up, in milliseconds. */
  readonly canaryMs: number;
}

/** Replaces all workers of `pool`. Resolves with undefined when that is done, or with the sentence on why it stopped. */
export function replaceAll(
  pool: WorkerPool,
  { workers, canaryMs }: ReloadTerms,
): Promise<string | undefined> {
  const before = pool.wanted;
  return pool.exchange('new', async (exchange) => {
    pool.resize(workers);
    const error = await replaceOneByOne(pool, exchange, canaryMs);
    if (error !== undefined) pool.resize(before);
    return error;
  });
}

async function replaceOneByOne(
  pool: WorkerPool,
  { fork, accept, trim }: Exchange,
  canaryMs: number,
): Promise<string | undefined> {
  const fresh: SupervisedWorker[] = [];
  while (fresh.length < pool.wanted && !pool.isStopping) {
    const worker = fork();
    fresh.push(worker);
    const started = await worker.started;
    if ('error' in started) return started.error;
    if (fresh.length === 1) await withTimeout(worker.ended, canaryMs, () => {});
    const lost = fresh.find(({ state }) => state !== 'ready');
    if (lost !== undefined) return `The new worker ${lost.id} ended soon after its start: the log says why.`;
    accept(worker);
    trim('reloaded');
  }
  return undefined;
}
