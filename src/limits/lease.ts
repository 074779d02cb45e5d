/**
 * How several workers hold one limit exactly, without asking for each request.
 *
 * The primary owns the sliding logs. Far from the limit, an answer brings a lease along: permits that the worker may
 * give out by itself for a short time. At its end the worker settles: it says how many it gave out and when the last
 * one was, and the rest is free again. Near the limit no leases are given, and every decision is asked for.
 *
 *     worker                                        primary
 *     take(a)  --  take a  ----------------------->  a permit from the log of a; 60 more set aside
 *              <--  allowed, lease 1: 60 permits --
 *     take(a), take(a), ...  without a message       they count in the log, whatever time it is
 *              --  settle lease 1: 42 spent ------>   42 in the log, 18 free again
 *
 * A client's requests that come while the worker is asking for that client wait for the answer, and are served from
 * the lease that it brings. If it brings none, or one that is small against their number, each asks for itself.
 *
 * The life of a lease, seen from the primary:
 *
 *     given --used up, or `leaseMs` are over, or recalled--> settled: what was spent counts, the rest is free
 *       |
 *       +--its worker has died, or does not settle in time--> lost: all of it counts as spent
 *
 * When the log has nothing left while permits are set aside, somebody may be refused though permits lie unspent with
 * another worker. So the leases of that client are recalled, and questions for it wait, in the order of their arrival,
 * until they can be answered from what came back. Nobody is refused while a lease of his is out. A worker that has
 * been refused a client knows until when, and refuses by itself until then.
 *
 * Invariants
 * - Permits set aside are never given to anybody else. What a worker spent counts from a moment that is not earlier
 *   than when it did so. So no window ever holds more than its quota, however messages are delayed or lost.
 * - A worker spends nothing of a lease from `expiresAt` on, by a clock on which all processes of the host agree. So a
 *   lost lease can be counted as spent at that moment.
 * - A worker has at most one lease for a client. The channel keeps the order of messages: a settlement arrives before
 *   the question that follows it.
 *
 * The moment of a request is that of its decision, in the worker or in the primary. What was spent from a lease counts
 * as if all of it had been spent with the last one, so a permit may come back up to `leaseMs` later than it could.
 *
 * If the primary does not answer within the deadline, requests are let in or refused, as the settings say, without
 * waiting any longer; one question at a time looks whether it is back.
 */

import type { Limit, Policy } from './limit-store.ts';

export interface LimitQuestion {
  readonly id: number;
  /** The name of a limit that was defined on this channel. */
  readonly limit: string;
  readonly key: string;
}

export interface LimitAnswer {
  readonly id: number;
  readonly allowed: boolean;
  /** The index of the policy among those of the limit. */
  readonly policy: number;
  /** Permits that are left in that policy, those of the lease not among them. */
  readonly remaining: number;
  readonly resetMs: number;
  /** When this was decided, by the clock of the host. */
  readonly decidedAt: number;
  readonly lease: LeaseGrant | null;
}

export interface LeaseGrant {
  readonly id: number;
  readonly permits: number;
  /** The first moment at which nothing of it may be spent, by the clock of the host. */
  readonly expiresAt: number;
}

/** The end of a lease. */
export interface Settlement {
  readonly lease: number;
  readonly spent: number;
  /** When the last permit was spent, by the clock of the host. */
  readonly lastAt: number;
}

/** The way from a worker to the primary and back. Messages arrive in the order in which they were sent. */
export interface LimitChannel {
  /** Says what the limit of this name is from now on. */
  define(limit: Limit): void;
  ask(question: LimitQuestion): void;
  settle(settlement: Settlement): void;
  /** Registers who gets what the primary says. */
  listen(receiver: LimitReceiver): void;
}

/** What the primary says to a worker. */
export interface LimitReceiver {
  answer(answer: LimitAnswer): void;
  /** Asks for the settlement of a lease, at once. */
  recall(lease: number): void;
}

/** How long a lease may be spent, in milliseconds. */
export const leaseMs = 100;

/** As many as a busy worker spends in that time. With fewer, its requests would wait for the next lease again and again. */
const maxPermits = 1024;
const minPermits = 2;

/** How many permits to lease to one worker of the `remaining` ones; 0 near the limit. */
export function leaseSize(remaining: number): number {
  const share = Math.min(maxPermits, Math.floor(remaining / 8));
  return share < minPermits ? 0 : share;
}

/** How long a lease of this limit may be spent, in milliseconds: short against each of its windows. */
export function leaseDuration(policies: readonly Policy[]): number {
  let duration = leaseMs;
  for (const { windowMs } of policies) duration = Math.min(duration, Math.floor(windowMs / 10));
  return duration;
}
