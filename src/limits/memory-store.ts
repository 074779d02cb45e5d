/**
 * All limits in this process. Each has logs of its own (`client-logs.ts`), and with them a bound of its own:
 * a flood that fills one makes nobody start afresh in another.
 *
 * A limit is found by its object, which its owner makes once; an object that is new here is compared by content. The
 * number of limits is bounded as well: one that is too many drops the one that was defined longest ago.
 */

import type { Decision } from '../resilience/sliding-window.ts';
import {
  type CleanupCounts,
  type ClientLogs,
  type ClientLogsOptions,
  createClientLogs,
} from './client-logs.ts';
import type { Limit, LimitStore } from './limit-store.ts';

export interface MemoryLimitStoreOptions
  extends Pick<ClientLogsOptions, 'maxClients' | 'maxPermits' | 'now'> {
  /** Told of each limit, at most once a minute, how many clients were dropped and how many are left. */
  readonly onCleanup?: (counts: CleanupCounts & { readonly limit: string }) => void;
}

export interface MemoryLimitStore extends LimitStore {
  /** Throws a RangeError for a limit without policies. */
  take(limit: Limit, key: string): Decision;
  /** The logs of a limit; the same for all that say the same. Throws a RangeError for a limit without policies. */
  logsOf(limit: Limit): ClientLogs;
}

const maxLimits = 100;

/** Makes a store. `maxClients` and `maxPermits` hold for each limit. */
export function createMemoryLimitStore({ onCleanup, ...options }: MemoryLimitStoreOptions): MemoryLimitStore {
  let byLimit = new WeakMap<Limit, ClientLogs>();
  const byContent = new Map<string, ClientLogs>();

  function define(limit: Limit): ClientLogs {
    const { name, policies } = limit;
    const content = contentOf(limit);
    const logs =
      byContent.get(content) ??
      createClientLogs(policies, {
        ...options,
        onCleanup: (counts) => onCleanup?.({ limit: name, ...counts }),
      });
    byContent.delete(content);
    byContent.set(content, logs);
    if (byContent.size > maxLimits) dropOldest();
    byLimit.set(limit, logs);
    return logs;
  }

  function dropOldest(): void {
    const [oldest] = byContent.keys();
    if (oldest !== undefined) byContent.delete(oldest);
    // Those that are still there are found again by their content.
    byLimit = new WeakMap();
  }

  const logsOf = (limit: Limit) => byLimit.get(limit) ?? define(limit);

  return { logsOf, take: (limit, key) => logsOf(limit).take(limit.policies, key) };
}

function contentOf({ name, policies }: Limit): string {
  if (policies.length === 0) throw new RangeError(`The limit "${name}" has no policy.`);
  return JSON.stringify([name, policies.map((policy) => [policy.name, policy.quota, policy.windowMs])]);
}
