/**
 * The interface of the stores that count permits. One store holds all limits of the program. Each limit has a name, its
 * policies, and its own count per client, so that a client that has used up one limit is not rejected by another.
 *
 * The layers do not know whether the windows are in this process (`memory-store.ts`), in the primary of the cluster
 * (`worker-store.ts`) or in a store that several machines share. Every implementation passes
 * `test/conformance/limit-store.ts`: it never allows more than the policies do.
 */

import type { Decision, Policy } from '../resilience/sliding-window.ts';

export type { Decision, Policy } from '../resilience/sliding-window.ts';

/** A limit, compared by value: two limits with the same name and the same policies share their permits. */
export interface Limit {
  readonly name: string;
  /** At least one; all of them must allow. */
  readonly policies: readonly Policy[];
}

export interface LimitStore {
  /**
   * Takes one permit of `limit` for `key`. The decision refers to one of the policies of the limit. A store in this process
   * returns it synchronously.
   */
  take(limit: Limit, key: string): Decision | Promise<Decision>;
  /**
   * Takes one permit of each limit for `key`, in order, until a limit rejects. Returns the decisions; a rejection is the last
   * one. The permits taken before it stay taken, but a store that knows that a limit rejects may take none and return only
   * the rejection. A shared store decides all limits in one round trip.
   */
  takeEach(limits: readonly Limit[], key: string): Decision[] | Promise<Decision[]>;
}

/** Implements `takeEach` with `take`, for stores where one call is as expensive as several. */
export function takeInOrder(
  store: Pick<LimitStore, 'take'>,
  limits: readonly Limit[],
  key: string,
): Decision[] | Promise<Decision[]> {
  const decisions: Decision[] = [];
  for (const limit of limits) {
    const decision = store.take(limit, key);
    if (decision instanceof Promise) return takeRest(store, limits, key, decisions, decision);
    decisions.push(decision);
    if (!decision.allowed) break;
  }
  return decisions;
}

async function takeRest(
  store: Pick<LimitStore, 'take'>,
  limits: readonly Limit[],
  key: string,
  decisions: Decision[],
  pending: Promise<Decision>,
): Promise<Decision[]> {
  decisions.push(await pending);
  for (const limit of limits.slice(decisions.length)) {
    if (decisions.at(-1)?.allowed === false) break;
    decisions.push(await store.take(limit, key));
  }
  return decisions;
}
