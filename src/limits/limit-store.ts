/**
 * Where permits are counted. One interface, so that the layer does not know whether the windows are in this
 * process, in the cluster's primary or in a store that several machines share. Every implementation passes
 * `test/conformance/limit-store.ts`: it never allows more than the policies do.
 */

import type { Decision } from '../resilience/sliding-window.ts';

export type { Decision, Policy } from '../resilience/sliding-window.ts';

export interface LimitStore {
  /** Asks for one permit for `key`. A store in this process answers at once. */
  take(key: string): Decision | Promise<Decision>;
}
