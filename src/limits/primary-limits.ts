import type { LimitAnswer, LimitQuestion } from './cluster.ts';
import type { Limit } from './limit-store.ts';
import type { MemoryLimitStore } from './memory.ts';

/** The primary's end of one worker's `cluster.ts`. */
export interface PrimaryLimits {
  /** From now on, the worker calls this limit by its name. Saying the same again changes nothing. */
  define(limit: Limit): void;
  /** Decides on one permit; undefined if the worker has not defined the limit, or defined too many. */
  decide(question: LimitQuestion): LimitAnswer | undefined;
}

/** The most limits that one worker can define. */
const maxLimits = 100;

/**
 * Makes the end for one worker, over the store that all workers share. Names belong to the worker and windows to
 * the content: a worker that was started with other settings than its siblings counts by its own.
 */
export function createPrimaryLimits(store: MemoryLimitStore): PrimaryLimits {
  const limits = new Map<string, Limit>();
  return {
    define(limit) {
      if (limits.size < maxLimits || limits.has(limit.name)) limits.set(limit.name, limit);
    },
    decide({ id, limit: name, key }) {
      const limit = limits.get(name);
      if (limit === undefined) return undefined;
      const { policy, ...decision } = store.take(limit, key);
      return { id, ...decision, policy: limit.policies.indexOf(policy) };
    },
  };
}
