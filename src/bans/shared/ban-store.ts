import type { BanChange } from '../ban-registry.ts';

/**
 * A position in the changes of a store. `epoch` names the contents of the store: it is another one after the store has been
 * emptied, and empty if nothing has been written yet.
 */
export interface BanCursor {
  readonly epoch: string;
  readonly version: number;
}

export interface BanChanges {
  readonly changes: readonly BanChange[];
  readonly cursor: BanCursor;
  /** Whether there may be further changes already. */
  readonly hasMore: boolean;
}

/**
 * Keeps the last change of each client for all nodes. The store measures all times with its own clock: changes have durations
 * and no dates, so a wrong clock on a node neither prolongs nor shortens a ban elsewhere.
 *
 * If two nodes ban a client at the same time, the longer ban remains. A change by hand replaces any other, and a ban by hand
 * is not replaced by an automatic one while it lasts.
 */
export interface BanStore {
  /** The name in logs. */
  readonly name: 'redis' | 'postgres';
  /** Writes changes of different clients. They are kept for `keepMs` after the end of the ban. */
  write(changes: readonly BanChange[], keepMs: number): Promise<void>;
  /** Returns the changes after a cursor; without one, or if the epoch is another one, all changes. */
  read(cursor: BanCursor | undefined): Promise<BanChanges>;
}

/** The maximum number of changes in one call. */
export const maxChanges = 500;
