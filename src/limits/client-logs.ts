/**
 * The sliding logs of one limit, one log per client, in bounded memory.
 *
 * The map is ordered by last use: a Map iterates in insertion order, and each request inserts its client again. So the first
 * entry is the least recently used one. Each request also checks the first two entries and drops them if they have been idle
 * for longer than the longest window. The map thus shrinks as fast as it grows, without a timer. If the map exceeds
 * `maxClients` or `maxPermits`, the least recently used client is dropped early. Its count then starts at zero again, which
 * is the price of bounded memory.
 *
 * One iterator is kept across requests: a new iterator must skip the slots of all deleted entries at the front, which takes
 * tens of microseconds with 100,000 clients. It is still renewed every 1,000 steps, because an old iterator keeps the
 * outgrown tables of the map in memory.
 */

import { type Decision, maxWindowMs, type Policy, SlidingLog } from '../resilience/sliding-window.ts';

export interface ClientLogsOptions {
  /** The maximum number of clients in memory. */
  readonly maxClients: number;
  /** The maximum number of permits in memory across all clients, 8 bytes each. */
  readonly maxPermits?: number;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
  /** Called at most once per minute with the number of clients dropped and kept. */
  readonly onCleanup?: (counts: CleanupCounts) => void;
}

export interface CleanupCounts {
  readonly dropped: number;
  /** How many of the dropped clients exceeded the bounds, so that they were dropped before they were idle. */
  readonly early: number;
  readonly kept: number;
}

export interface ClientLogs {
  /** Takes one permit for `key`. `policies` must equal those given to `createClientLogs`. */
  take(policies: readonly Policy[], key: string): Decision;
  /** Returns the log of a client; undefined if it is not in memory. */
  find(key: string): SlidingLog | undefined;
  /** Ends a reservation of `permits` in the log of `key`: `spent` of them were used, the last one at `lastAt`. */
  release(key: string, log: SlidingLog, permits: number, spent: number, lastAt: number): void;
  /** The number of clients in memory. */
  readonly size: number;
}

const cleanupReportMs = 60_000;
const renewalSteps = 1000;

export function createClientLogs(policies: readonly Policy[], options: ClientLogsOptions): ClientLogs {
  const { maxClients, maxPermits = 4_000_000, now, onCleanup } = options;
  const window = maxWindowMs(policies);
  const logs = new Map<string, SlidingLog>();
  let order = logs.entries();
  let first: [string, SlidingLog] | undefined;
  /** The most recently used client. It is inserted again only after another client. */
  let youngest: string | undefined;
  let steps = 0;
  let permits = 0;
  let dropped = 0;
  let early = 0;
  let reportedAt = now();

  /** Returns the least recently used client. */
  function peek(): [string, SlidingLog] | undefined {
    steps += 1;
    first ??= order.next().value;
    if (first === undefined || steps > renewalSteps) {
      order = logs.entries();
      first = order.next().value;
      steps = 0;
    }
    return first;
  }

  function remove(key: string): void {
    logs.delete(key);
    if (first?.[0] === key) first = undefined;
  }

  function cleanUp(time: number): void {
    for (let looked = 0; logs.size > 1; ) {
      const [key, log] = peek() ?? [];
      const isOver = logs.size > maxClients || permits > maxPermits;
      const isIdle = looked < 2 && log !== undefined && log.last <= time - window && log.reserved === 0;
      if (key === undefined || log === undefined || !(isOver || isIdle)) break;
      if (isOver) early += 1;
      else looked += 1;
      remove(key);
      permits -= log.size;
      dropped += 1;
    }
    if (dropped > 0 && time - reportedAt >= cleanupReportMs) {
      onCleanup?.({ dropped, early, kept: logs.size });
      dropped = 0;
      early = 0;
      reportedAt = time;
    }
  }

  return {
    get size() {
      return logs.size;
    },
    take(same, key) {
      const time = Math.floor(now());
      const log = logs.get(key) ?? new SlidingLog();
      const before = log.size;
      const decision = log.take(same, time);
      permits += log.size - before;
      if (key !== youngest) {
        remove(key);
        logs.set(key, log);
        youngest = key;
      }
      cleanUp(time);
      return decision;
    },
    find: (key) => logs.get(key),
    release(key, log, reserved, spent, lastAt) {
      const before = log.size;
      log.release(policies, reserved, spent, lastAt);
      // If the client was dropped in the meantime, it has a new log or none.
      if (logs.get(key) === log) permits += log.size - before;
    },
  };
}
