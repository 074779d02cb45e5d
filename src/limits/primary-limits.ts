/**
 * The primary's part of the limiter over several workers (`lease.ts`): the logs of all clients, the leases that are
 * out, and the questions that wait for leases to come back.
 */

import type { SlidingLog } from '../resilience/sliding-window.ts';
import type { ClientLogs } from './client-logs.ts';
import {
  type LeaseGrant,
  type LimitQuestion,
  type LimitReceiver,
  leaseDuration,
  leaseSize,
  type Settlement,
} from './lease.ts';
import type { Decision, Limit } from './limit-store.ts';
import type { MemoryLimitStore } from './memory-store.ts';

export interface PrimaryLimitsOptions {
  /** The logs, on the same clock. */
  readonly store: Pick<MemoryLimitStore, 'logsOf'>;
  /** The clock of the host, in milliseconds. */
  readonly now: () => number;
  /** How long after its end a lease that somebody waits for is taken for lost, in milliseconds. */
  readonly graceMs?: number;
}

export interface PrimaryLimits {
  /** Makes the end for one worker. */
  connect(worker: LimitReceiver): WorkerSession;
  /** Takes leases for lost whose time is over. To be called every few hundredths of a second. */
  sweep(): void;
  /** The number of leases that are out. */
  readonly leases: number;
}

/**
 * The primary's end of one worker. Names belong to the worker and windows to the content: a worker that was started
 * with other settings than its siblings counts by its own.
 */
export interface WorkerSession {
  /** From now on, the worker calls this limit by its name. Saying the same again changes nothing. */
  define(limit: Limit): void;
  /** Asks for one permit. There is no answer if the worker has not defined the limit, or has defined too many. */
  ask(question: LimitQuestion): void;
  /** Ends a lease. Of one that has ended already, nothing is heard. */
  settle(settlement: Settlement): void;
  /** The worker is gone: its leases are lost. */
  close(): void;
}

/** The most limits that one worker can define. */
const maxLimits = 100;

/** The most leases that are out at once. */
const maxLeases = 100_000;

/** How long after its end a lease that nobody waits for is taken for lost, in milliseconds. */
const maxGraceMs = 10_000;

interface Lease extends LeaseGrant {
  readonly worker: LimitReceiver;
  readonly key: string;
  readonly logs: ClientLogs;
  readonly log: SlidingLog;
  isRecalled: boolean;
}

/** A client of whose permits some are leased. */
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
      settle({ lease: id, spent, lastAt }) {
        const lease = leases.get(id);
        if (lease?.worker === worker) end(lease, Math.min(spent, lease.permits), Math.min(lastAt, now()));
      },
      close() {
        for (const lease of leases.values()) if (lease.worker === worker) lose(lease);
      },
    };
  }

  /** Answers a question, or has it wait behind the others that wait for leases of this client. */
  function submit(question: Question): void {
    const log = store.logsOf(question.limit).find(question.key);
    const client = log && clients.get(log);
    if (client === undefined) decide(question);
    else if (client.waiting.length > 0 || !decide(question)) {
      client.waiting.push(question);
      recall(client);
    }
  }

  /** False if the answer would be a refusal that has to wait. */
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

  /** Sets permits aside for the worker, if there are many left and it has none of this client. */
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
    lease.logs.settle(lease.key, lease.log, lease.permits, spent, Math.floor(lastAt));
    const client = clients.get(lease.log);
    if (client === undefined) return;
    client.leases.delete(lease);
    if (client.leases.size === 0) clients.delete(lease.log);
    const { waiting } = client;
    client.waiting = [];
    for (const question of waiting) submit(question);
  }

  /** Nobody will say what was spent of it: all counts as spent, at the last moment at which that was allowed. */
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
      // If it was this process that was busy, settlements have arrived meanwhile, and are read before the next time.
      const wasBlocked = time - sweptAt > graceMs / 2;
      sweptAt = time;
      if (wasBlocked) return;
      for (const lease of leases.values()) {
        // Those of short windows end earlier than others that are older; they are found a little later.
        if (lease.expiresAt > time) break;
        const isWaitedFor = (clients.get(lease.log)?.waiting.length ?? 0) > 0;
        if (time >= lease.expiresAt + (isWaitedFor ? graceMs : maxGraceMs)) lose(lease);
      }
    },
  };
}
