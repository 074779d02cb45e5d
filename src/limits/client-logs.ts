/**
 * The sliding logs of one limit, one a client, in bounded memory.
 *
 * The map keeps clients in the order in which they were last seen (a Map iterates in insertion order, and a
 * client that comes is inserted again), so the first is the one idle for longest. Each request also looks at the
 * first two: what has been idle for longer than the longest window is dropped. So the map cleans itself as fast as
 * it fills, without a timer. When more than `maxClients` are there, or more than `maxPermits` permits are held, the
 * client idle for longest is forgotten early: it starts afresh, which is the price of a bound.
 *
 * One iterator goes along with the map from request to request: a new one has to step over all the places that
 * deleted clients have left at the front, tens of microseconds among 100,000 clients. It is renewed now and then
 * all the same, because it keeps alive the tables that the map has outgrown since.
 */

import { type Decision, maxWindowMs, type Policy, SlidingLog } from '../resilience/sliding-window.ts';

export interface ClientLogsOptions {
  /** The most clients that are remembered. */
  readonly maxClients: number;
  /** The most permits that are held over all clients, 8 bytes each. */
  readonly maxPermits?: number;
  /** Milliseconds of a clock that does not run backwards. */
  readonly now: () => number;
  /** Told, at most once a minute, how many clients were dropped and how many are left. */
  readonly onCleanup?: (counts: CleanupCounts) => void;
}

export interface CleanupCounts {
  readonly dropped: number;
  /** Those of the dropped for whom there was no more room. */
  readonly early: number;
  readonly kept: number;
}

export interface ClientLogs {
  /** Asks for one permit for `key`. `policies` are those of the making, or equal to them. */
  take(policies: readonly Policy[], key: string): Decision;
  /** The log of a client who is remembered. */
  find(key: string): SlidingLog | undefined;
  /** Ends the setting aside of `permits` in the log of `key`, of which `spent` were given out, the last at `lastAt`. */
  settle(key: string, log: SlidingLog, permits: number, spent: number, lastAt: number): void;
  /** The number of clients remembered. */
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
  /** The client that was seen last: it is inserted again only when another one has come since. */
  let youngest: string | undefined;
  let steps = 0;
  let permits = 0;
  let dropped = 0;
  let early = 0;
  let reportedAt = now();

  /** The client idle for longest. */
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
    settle(key, log, reserved, spent, lastAt) {
      const before = log.size;
      log.settle(policies, reserved, spent, lastAt);
      // A client who was forgotten meanwhile has a new log, or none.
      if (logs.get(key) === log) permits += log.size - before;
    },
  };
}
