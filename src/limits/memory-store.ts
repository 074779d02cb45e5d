/**
 * Counts all limits in this process. Each limit has its own logs (`client-logs.ts`) with their own memory bounds: a flood
 * that fills one limit does not reset the counts of another.
 *
 * A limit is found by object identity, because its owner creates it once; an unknown object is compared by content. The
 * number of limits is bounded: one limit too many drops the limit with the oldest definition.
 */

import type { Decision } from '../resilience/sliding-window.ts';
import {
  type CleanupCounts,
  type ClientLogs,
  type ClientLogsOptions,
  createClientLogs,
} from './client-logs.ts';
import { type Limit, type LimitStore, takeInOrder } from './limit-store.ts';

export interface MemoryLimitStoreOptions
  extends Pick<ClientLogsOptions, 'maxClients' | 'maxPermits' | 'now'> {
  /** Called at most once per minute for each limit with the number of clients dropped and kept. */
  readonly onCleanup?: (counts: CleanupCounts & { readonly limit: string }) => void;
}

export interface MemoryLimitStore extends LimitStore {
  /** Throws a RangeError for a limit without policies. */
  take(limit: Limit, key: string): Decision;
  /** Returns the logs of a limit; equal limits share them. Throws a RangeError for a limit without policies. */
  logsOf(limit: Limit): ClientLogs;
}

const maxLimits = 100;

/** Creates a store. `maxClients` and `maxPermits` apply to each limit separately. */
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
    // The remaining limits are found again by their content.
    byLimit = new WeakMap();
  }

  const logsOf = (limit: Limit) => byLimit.get(limit) ?? define(limit);

  const take = (limit: Limit, key: string) => logsOf(limit).take(limit.policies, key);

  return { logsOf, take, takeEach: (limits, key) => takeInOrder({ take }, limits, key) };
}

function contentOf({ name, policies }: Limit): string {
  if (policies.length === 0) throw new RangeError(`The limit "${name}" has no policy.`);
  return JSON.stringify([name, policies.map((policy) => [policy.name, policy.quota, policy.windowMs])]);
}
