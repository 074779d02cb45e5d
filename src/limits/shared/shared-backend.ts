import type { Decision, Limit } from '../limit-store.ts';

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
