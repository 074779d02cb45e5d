import type { Decision, Limit, Policy } from '../limit-store.ts';

/** The limits in which one request counts for one client, in order. */
export interface Ask {
  readonly limits: readonly Limit[];
  readonly key: string;
}

/**
 * Counts permits in a store that several nodes share. The store decides atomically and by its own clock, so neither
 * concurrent nodes nor a clock that is wrong on one of them can widen a window.
 */
export interface SharedBackend {
  /** The name in logs, metrics and readiness. */
  readonly name: 'redis' | 'postgres';
  /**
   * Takes one permit of each limit of each ask, in order, until a limit of the ask rejects. Returns the decisions of each
   * ask; a rejection is the last of its ask. Rejects if the store cannot decide; permits may have been taken then.
   */
  decide(asks: readonly Ask[]): Promise<Decision[][]>;
}

/**
 * Reads the reply of a backend: four numbers for each limit of each ask. They are 1 if the limit allowed, 0 if it rejected,
 * -1 if a limit before it rejected; the index of the policy; the permits left; the milliseconds until one more is free.
 */
export function readDecisions(asks: readonly Ask[], reply: readonly number[]): Decision[][] {
  let at = 0;
  return asks.map(({ limits }) => {
    const decisions: Decision[] = [];
    for (const { name, policies } of limits) {
      const [allowed = -1, index = 0, remaining = 0, resetMs = 0] = reply.slice(at, at + 4);
      at += 4;
      if (allowed === -1) continue;
      const policy: Policy | undefined = policies[index];
      if (policy === undefined) throw new RangeError(`The limit "${name}" has no policy ${index}.`);
      decisions.push({ allowed: allowed === 1, policy, remaining, resetMs });
    }
    return decisions;
  });
}
