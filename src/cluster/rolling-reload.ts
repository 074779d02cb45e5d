/**
 * A rolling reload brings in new code and new settings without an interruption: for each process a new one is forked, and
 * when that is ready, an old one drains. The first new process is the canary: nothing else changes until it has stayed up
 * for a while.
 *
 *     old old old     old old old new?     old old new      old new new      new new new
 *                     the canary           it stayed up     one by one
 *
 * If a new process fails, is not ready in time, or dies, the reload stops: that process is drained, and the others keep
 * running. Until the canary has passed these are all old ones. An old process that dies meanwhile is replaced by one of
 * the old version (process-pool.ts), of which a copy is kept (../program/program-copy.ts).
 */

import { withTimeout } from '../concurrency/with-timeout.ts';
import type { ProcessPool, Replacement } from './process-pool.ts';
import type { SupervisedProcess } from './supervised-process.ts';

export interface ReloadOptions {
  /** The number of processes after the reload. */
  readonly size: number;
  /** How long the first new process must stay up, in milliseconds. */
  readonly canaryMs: number;
}

/** Replaces all processes of `pool`. Resolves with undefined when done, or with a sentence on why the reload failed. */
export function replaceAll(
  pool: ProcessPool,
  { size, canaryMs }: ReloadOptions,
): Promise<string | undefined> {
  const sizeBefore = pool.size;
  return pool.replace('candidate', async (replacement) => {
    pool.resize(size);
    const failure = await replaceOneByOne(pool, replacement, canaryMs);
    if (failure !== undefined) pool.resize(sizeBefore);
    return failure;
  });
}

async function replaceOneByOne(
  pool: ProcessPool,
  { fork, accept, drainSurplus }: Replacement,
  canaryMs: number,
): Promise<string | undefined> {
  const fresh: SupervisedProcess[] = [];
  while (fresh.length < pool.size && !pool.isStopping) {
    const candidate = fork();
    fresh.push(candidate);
    const result = await candidate.started;
    if ('error' in result) return result.error;
    if (fresh.length === 1) await withTimeout(candidate.ended, canaryMs, () => undefined);
    const lost = fresh.find(({ state }) => state !== 'ready');
    if (lost !== undefined) {
      return `The new process ${lost.id} exited soon after its start: see the log for the cause.`;
    }
    accept(candidate);
    drainSurplus('reloaded');
  }
  return undefined;
}
