/**
 * Sliding logs in this process, one a client, in bounded memory.
 *
 * The map keeps clients in the order in which they were last seen (a Map iterates in insertion order, and a
 * client that comes is inserted again), so the first is the one idle for longest. Each request also looks at the
 * first two: what has been idle for longer than the longest window is dropped. So the map
 * cleans itself as fast as it fills, without a timer. When more than `maxClients` are there, or more than
 * `maxPermits` permits are held, the client idle for longest is forgotten early: it starts afresh, which is
 * the price of a bound.
 */

import { type Decision, longestWindow, type Policy, SlidingLog } from '../resilience/sliding-window.ts';
import type { LimitStore } from './limit-store.ts';

export interface MemoryLimitOptions {
  readonly policies: readonly Policy[];
  /** The most clients that are remembered. */
  readonly maxClients: number;
  /** The most permits that are held over all clients, 8 bytes each. */
  readonly maxPermits?: number;
  /** Milliseconds of a clock that does not run backwards. */
  readonly now: () => number;
  /** Told, at most once a minute, how many clients were dropped and how many are left. */
  readonly onCleanup?: (counts: {
    readonly dropped: number;
    readonly early: number;
    readonly kept: number;
  }) => void;
}

export interface MemoryLimitStore extends LimitStore {
  take(key: string): Decision;
  /** The number of clients remembered. */
  readonly size: number;
}

const cleanupReportMs = 60_000;

export function createMemoryLimitStore(options: MemoryLimitOptions): MemoryLimitStore {
  const { policies, maxClients, maxPermits = 4_000_000, now, onCleanup } = options;
  const window = longestWindow(policies);
  const logs = new Map<string, SlidingLog>();
  let permits = 0;
  let dropped = 0;
  let early = 0;
  let reportedAt = now();

  function drop(key: string, log: SlidingLog): void {
    logs.delete(key);
    permits -= log.size;
    dropped += 1;
  }

  function cleanUp(time: number): void {
    let looked = 0;
    for (const [key, log] of logs) {
      const isOver = logs.size > maxClients || permits > maxPermits;
      if (isOver && logs.size > 1) {
        drop(key, log);
        early += 1;
        continue;
      }
      if (looked >= 2 || log.last > time - window) break;
      looked += 1;
      drop(key, log);
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
    take(key) {
      const time = Math.floor(now());
      const log = logs.get(key) ?? new SlidingLog();
      const before = log.size;
      const decision = log.take(policies, time);
      permits += log.size - before;
      logs.delete(key);
      logs.set(key, log);
      cleanUp(time);
      return decision;
    },
  };
}
