/**
 * The primary's side of the rate limiter for several workers (`lease.ts` explains the protocol). It keeps the log of each
 * client, the outstanding leases, and the questions that wait until leases are returned.
 */

import type { SlidingLog } from '../resilience/sliding-window.ts';
import type { ClientLogs } from './client-logs.ts';
import {
  type LeaseGrant,
  type LimitQuestion,
  type LimitReceiver,
  leaseDuration,
  leaseSize,
  type ReturnedLease,
} from './lease.ts';
import type { Decision, Limit } from './limit-store.ts';
import type { MemoryLimitStore } from './memory-store.ts';

export interface PrimaryLimitsOptions {
  /** The logs; must use the same clock. */
  readonly store: Pick<MemoryLimitStore, 'logsOf'>;
  /** The clock of the host, in milliseconds. */
  readonly now: () => number;
  /** How long an expired lease may still be returned while a question waits for it, in milliseconds. Then it counts as lost. */
  readonly graceMs?: number;
}

export interface PrimaryLimits {
  /** Opens the session of one worker. */
  connect(worker: LimitReceiver): WorkerSession;
  /** Treats expired leases as lost. Must be called every few hundredths of a second. */
  sweep(): void;
  /** The number of outstanding leases. */
  readonly leases: number;
}

/**
 * The session of one worker in the primary. Names of limits are per worker, and the logs are found by the content of the
 * limit: a worker started with other settings than its siblings has its own counts.
 */
export interface WorkerSession {
  /** Registers a limit under its name. Idempotent. */
  define(limit: Limit): void;
  /** Takes one permit. Sends no answer if the limit is not defined, or if the worker has defined too many. */
  ask(question: LimitQuestion): void;
  /** Takes a lease back. Ignores a lease that was already returned or counts as lost. */
  returnLease(returned: ReturnedLease): void;
  /** Ends all leases of the worker as lost, after it exited. */
  close(): void;
}

/** The maximum number of limits that one worker can define. */
const maxLimits = 100;

/** The maximum number of outstanding leases. */
const maxLeases = 100_000;

/** How long after its expiry a lease counts as lost if no question waits for it, in milliseconds. */
const maxGraceMs = 10_000;

interface Lease extends LeaseGrant {
  readonly worker: LimitReceiver;
  readonly key: string;
  readonly logs: ClientLogs;
  readonly log: SlidingLog;
  isRecalled: boolean;
}

/** A client with outstanding leases. */
interface LeasedClient {
  readonly leases: Set<Lease>;
  waiting: Question[];
}

interface Question {
  readonly id: number;
  readonly worker: LimitReceiver;
  readonly limit: Limit;
  readonly key: string;
}

export function createPrimaryLimits({ store, now, graceMs = 500 }: PrimaryLimitsOptions): PrimaryLimits {
  const leases = new Map<number, Lease>();
  const clients = new Map<SlidingLog, LeasedClient>();
  let lastId = 0;
  let sweptAt = now();

  function connect(worker: LimitReceiver): WorkerSession {
    const limits = new Map<string, Limit>();
    return {
      define(limit) {
        if (limits.size < maxLimits || limits.has(limit.name)) limits.set(limit.name, limit);
      },
      ask({ id, limit: name, key }) {
        const limit = limits.get(name);
        if (limit !== undefined) submit({ id, worker, limit, key });
      },
      returnLease({ lease: id, spent, lastAt }) {
        const lease = leases.get(id);
        if (lease?.worker === worker) end(lease, Math.min(spent, lease.permits), Math.min(lastAt, now()));
      },
      close() {
        for (const lease of leases.values()) if (lease.worker === worker) lose(lease);
      },
    };
  }

  /** Answers a question, or appends it to the questions that wait for leases of this client. */
  function submit(question: Question): void {
    const log = store.logsOf(question.limit).find(question.key);
    const client = log && clients.get(log);
    if (client === undefined) decide(question);
    else if (client.waiting.length > 0 || !decide(question)) {
      client.waiting.push(question);
      recall(client);
    }
  }

  /** Answers a question. Returns false without an answer if it would be rejected while permits are reserved. */
  function decide({ id, worker, limit, key }: Question): boolean {
    const logs = store.logsOf(limit);
    const decidedAt = Math.floor(now());
    const previousAt = logs.find(key)?.last ?? Number.NEGATIVE_INFINITY;
    const decision = logs.take(limit.policies, key);
    const log = logs.find(key);
    if (log === undefined || (!decision.allowed && log.reserved > 0)) return false;
    const duration = leaseDuration(limit.policies);
    const isBusy = previousAt > decidedAt - duration;
    const lease =
      decision.allowed && isBusy ? grant(decision, { worker, key, logs, log }, decidedAt + duration) : null;
    worker.answer({
      id,
      allowed: decision.allowed,
      policy: limit.policies.indexOf(decision.policy),
      remaining: decision.remaining - (lease?.permits ?? 0),
      resetMs: decision.resetMs,
      decidedAt,
      lease,
    });
    return true;
  }

  /** Grants a lease if many permits are left and the worker has no lease for this client. */
  function grant(
    { remaining }: Decision,
    owner: Pick<Lease, 'worker' | 'key' | 'logs' | 'log'>,
    expiresAt: number,
  ): LeaseGrant | null {
    const permits = leaseSize(remaining);
    const client = clients.get(owner.log) ?? { leases: new Set(), waiting: [] };
    for (const { worker } of client.leases) if (worker === owner.worker) return null;
    if (permits === 0 || leases.size >= maxLeases) return null;
    lastId += 1;
    const lease: Lease = { ...owner, id: lastId, permits, expiresAt, isRecalled: false };
    owner.log.reserve(permits);
    leases.set(lease.id, lease);
    client.leases.add(lease);
    clients.set(owner.log, client);
    return { id: lease.id, permits, expiresAt };
  }

  function recall({ leases: recalled }: LeasedClient): void {
    for (const lease of recalled) {
      if (!lease.isRecalled) lease.worker.recall(lease.id);
      lease.isRecalled = true;
    }
  }

  function end(lease: Lease, spent: number, lastAt: number): void {
    leases.delete(lease.id);
    lease.logs.release(lease.key, lease.log, lease.permits, spent, Math.floor(lastAt));
    const client = clients.get(lease.log);
    if (client === undefined) return;
    client.leases.delete(lease);
    if (client.leases.size === 0) clients.delete(lease.log);
    const { waiting } = client;
    client.waiting = [];
    for (const question of waiting) submit(question);
  }

  /** Ends a lease that was not returned: all permits count as used, at the last moment at which that was possible. */
  function lose(lease: Lease): void {
    end(lease, lease.permits, Math.min(lease.expiresAt, now()));
  }

  return {
    connect,
    get leases() {
      return leases.size;
    },
    sweep() {
      const time = now();
      // If this process was blocked, messages that return leases may not be read yet. They are read before the next sweep.
      const wasBlocked = time - sweptAt > graceMs / 2;
      sweptAt = time;
      if (wasBlocked) return;
      for (const lease of leases.values()) {
        // Leases are in the order of their grant, which is nearly that of their expiry. A lease that expires before an older one is found in a later sweep.
        if (lease.expiresAt > time) break;
        const isWaitedFor = (clients.get(lease.log)?.waiting.length ?? 0) > 0;
        if (time >= lease.expiresAt + (isWaitedFor ? graceMs : maxGraceMs)) lose(lease);
      }
    },
  };
}
