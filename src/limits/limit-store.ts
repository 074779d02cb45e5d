/**
 * Where permits are counted. One store holds all limits of the program: each has a name, its quotas, and clients of
 * its own, so that somebody who has used up one is not refused by another.
 *
 * There is one interface so that a layer does not know whether the windows are in this process (`memory.ts`), in
 * the cluster's primary (`cluster.ts`) or in a store that several machines share. Every implementation passes
 * `test/conformance/limit-store.ts`: it never allows more than the policies do.
 */

import type { Decision, Policy } from '../resilience/sliding-window.ts';

export type { Decision, Policy } from '../resilience/sliding-window.ts';

/** A limit is what it says: two with the same name and the same policies are one, and share their permits. */
export interface Limit {
  readonly name: string;
  /** At least one; all of them must allow. */
  readonly policies: readonly Policy[];
}

export interface LimitStore {
  /**
   * Asks for one permit of `limit` for `key`; the decision names one of the limit's policies. A store in this process
   * answers at once.
   */
  take(limit: Limit, key: string): Decision | Promise<Decision>;
}
