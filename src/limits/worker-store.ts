/**
 * The part of a worker in the limiter of several workers; `lease.ts` describes the protocol.
 *
 * For each client, a worker holds at most one of: a pending question with the requests that wait for it, a lease, or the time
 * until which the client is rejected. For every other client it asks the primary.
 */

import { AppError } from '../errors.ts';
import type { LimitAnswer, LimitChannel } from './lease.ts';
import { type Decision, type Limit, type LimitStore, type Policy, takeInOrder } from './limit-store.ts';

export interface WorkerLimitStoreOptions {
  readonly channel: LimitChannel;
  /** The clock of the host, in milliseconds. */
  readonly now: () => number;
  /** How long to wait for an answer of the primary, in milliseconds. */
  readonly deadlineMs: number;
  /** Whether requests are allowed (`open`) or rejected (`closed`) when the primary does not answer. */
  readonly onFailure: 'open' | 'closed';
  /** Called at most once per second with the number of requests decided without the primary. */
  readonly onUnanswered: (requests: number) => void;
}

export interface WorkerLimitStore extends LimitStore {
  /**
   * Throws, or rejects with, an AppError `not_ready` if the primary does not answer and `onFailure` is `closed`. Throws a
   * RangeError for an answer that names no policy of the limit.
   */
  take(limit: Limit, key: string): Decision | Promise<Decision>;
  /** Returns expired leases to the primary, and decides requests whose answer is late. Must be called every few hundredths of a second. */
  sweep(): void;
  /** Returns all leases to the primary, before the worker exits. */
  returnLeases(): void;
}

interface Asked {
  readonly kind: 'asked';
  readonly place: Place;
  readonly askedAt: number;
  readonly waiting: Waiting[];
}

interface Leased {
  readonly kind: 'leased';
  readonly place: Place;
  readonly id: number;
  readonly permits: number;
  readonly expiresAt: number;
  readonly policy: Policy;
  readonly remaining: number;
  readonly resetAt: number;
  spent: number;
  lastAt: number;
}

interface Refused {
  readonly kind: 'refused';
  readonly policy: Policy;
  readonly until: number;
}

/** The state of the clients of one limit, by key. */
type Clients = Map<string, Asked | Leased | Refused>;

interface Place {
  readonly limit: Limit;
  readonly clients: Clients;
  readonly key: string;
}

interface Waiting {
  resolve(decision: Decision | Promise<Decision>): void;
  reject(error: unknown): void;
}

/** The maximum number of clients with a state per limit. */
const maxClients = 10_000;

const reportMs = 1000;

export function createWorkerLimitStore(options: WorkerLimitStoreOptions): WorkerLimitStore {
  const { channel, now, deadlineMs, onFailure, onUnanswered } = options;
  const defined = new Map<string, Limit>();
  const byLimit = new WeakMap<Limit, Clients>();
  const questions = new Map<number, Asked>();
  const leases = new Map<number, Leased>();
  let lastId = 0;
  /** True from the first question that timed out until the next answer. */
  let isDown = false;
  let unanswered = 0;
  let reportedAt = Number.NEGATIVE_INFINITY;
  let sweptAt = now();

  function take(limit: Limit, key: string): Decision | Promise<Decision> {
    let clients = byLimit.get(limit);
    if (clients === undefined) {
      clients = new Map();
      byLimit.set(limit, clients);
    }
    const known = clients.get(key);
    if (known === undefined) return ask({ limit, clients, key }, true);
    if (known.kind === 'asked' && !isDown) return waitFor(known);
    return decideLocally(known) ?? ask({ limit, clients, key }, true);
  }

  /** Returns the decision if the worker can make it alone; undefined if it must ask. */
  function decideLocally(known: Asked | Leased | Refused): Decision | undefined {
    if (known.kind === 'asked') return undefined;
    const at = Math.floor(now());
    const { policy } = known;
    if (known.kind === 'refused') {
      return at < known.until
        ? { allowed: false, policy, remaining: 0, resetMs: known.until - at }
        : undefined;
    }
    if (at >= known.expiresAt) {
      end(known);
      return undefined;
    }
    known.spent += 1;
    known.lastAt = at;
    if (known.spent === known.permits) end(known);
    return { allowed: true, policy, remaining: known.remaining, resetMs: Math.max(0, known.resetAt - at) };
  }

  /** Asks the primary for one permit. If `isShared`, later requests of this client wait for the same answer. */
  function ask(place: Place, isShared: boolean): Decision | Promise<Decision> {
    const { limit, clients, key } = place;
    if (isDown && questions.size > 0) return decideUnanswered(limit);
    if (defined.get(limit.name) !== limit) {
      channel.define(limit);
      defined.set(limit.name, limit);
    }
    lastId += 1;
    const asked: Asked = { kind: 'asked', place, askedAt: now(), waiting: [] };
    questions.set(lastId, asked);
    if (isShared) remember(clients, key, asked);
    channel.ask({ id: lastId, limit: limit.name, key });
    return isDown ? decideUnanswered(limit) : waitFor(asked);
  }

  function waitFor({ waiting }: Asked): Promise<Decision> {
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  }

  function receive(answer: LimitAnswer): void {
    isDown = false;
    const asked = questions.get(answer.id);
    if (asked === undefined) {
      // The answer is too late: its request has been decided.
      if (answer.lease !== null) channel.returnLease({ lease: answer.lease.id, spent: 0, lastAt: 0 });
      return;
    }
    questions.delete(answer.id);
    const { place, waiting } = asked;
    forget(place, asked);
    const { allowed, remaining, resetMs, decidedAt, lease } = answer;
    const policy = policyOf(place.limit, answer.policy);
    const resetAt = decidedAt + resetMs;
    if (lease !== null) {
      const leased: Leased = {
        ...{ kind: 'leased', place, ...lease, policy, remaining, resetAt, spent: 0, lastAt: 0 },
      };
      leases.set(lease.id, leased);
      remember(place.clients, place.key, leased);
    } else if (!allowed) {
      remember(place.clients, place.key, { kind: 'refused', policy, until: resetAt });
    }
    const [first, ...others] = waiting;
    first?.resolve({ allowed, policy, remaining, resetMs });
    // If the lease covers less than half of the other requests, each of the rest asks for itself. Sharing the next question
    // would make them wait for one answer after another.
    const isShared = lease !== null && 2 * lease.permits >= others.length;
    for (const each of others) answerWaiting(place, each, isShared);
  }

  /** Decides a request that waited for the question of another request. */
  function answerWaiting(place: Place, { resolve, reject }: Waiting, isShared: boolean): void {
    try {
      const known = place.clients.get(place.key);
      if (known?.kind === 'asked') known.waiting.push({ resolve, reject });
      else resolve((known && decideLocally(known)) ?? ask(place, isShared));
    } catch (error) {
      reject(error);
    }
  }

  function remember(clients: Clients, key: string, known: Asked | Leased | Refused): void {
    clients.set(key, known);
    if (clients.size <= maxClients) return;
    const [oldest] = clients;
    if (oldest === undefined) return;
    clients.delete(oldest[0]);
    if (oldest[1].kind === 'leased') end(oldest[1]);
  }

  function forget({ clients, key }: Place, known: Asked | Leased): void {
    if (clients.get(key) === known) clients.delete(key);
  }

  function end(leased: Leased): void {
    leases.delete(leased.id);
    forget(leased.place, leased);
    channel.returnLease({ lease: leased.id, spent: leased.spent, lastAt: leased.lastAt });
  }

  /** Decides without the primary. The remaining quota is unknown, so an allowed client sees the full quota. */
  function decideUnanswered(limit: Limit): Decision {
    unanswered += 1;
    if (onFailure === 'open') {
      const policy = policyOf(limit, 0);
      return { allowed: true, policy, remaining: policy.quota, resetMs: 0 };
    }
    throw new AppError('not_ready', 'The rate limit cannot be checked at the moment: try again later.', {
      layer: 'rate-limit',
      headers: { 'retry-after': '1' },
    });
  }

  function timeOutQuestions(time: number): void {
    for (const [id, asked] of questions) {
      if (asked.askedAt + deadlineMs > time) return;
      isDown = true;
      questions.delete(id);
      forget(asked.place, asked);
      for (const { resolve, reject } of asked.waiting) {
        try {
          resolve(decideUnanswered(asked.place.limit));
        } catch (error) {
          reject(error);
        }
      }
    }
  }

  function sweep(): void {
    const time = now();
    // After this process was blocked, answers may be unread: they are read before the next sweep.
    const wasBlocked = time - sweptAt > deadlineMs / 2;
    sweptAt = time;
    if (!wasBlocked) timeOutQuestions(time);
    for (const leased of leases.values()) {
      // Leases are in the order of their grant. One with a short window may expire before an older one; it expires a little later.
      if (leased.expiresAt > time) break;
      end(leased);
    }
    if (unanswered > 0 && time - reportedAt >= reportMs) {
      onUnanswered(unanswered);
      unanswered = 0;
      reportedAt = time;
    }
  }

  channel.listen({
    answer: receive,
    recall(id) {
      const leased = leases.get(id);
      if (leased !== undefined) end(leased);
    },
  });

  return {
    take,
    takeEach: (limits, key) => takeInOrder({ take }, limits, key),
    sweep,
    returnLeases() {
      for (const leased of leases.values()) end(leased);
    },
  };
}

function policyOf({ name, policies }: Limit, index: number): Policy {
  const policy = policies[index];
  if (policy === undefined) throw new RangeError(`The limit "${name}" has no policy ${index}.`);
  return policy;
}
