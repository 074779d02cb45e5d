/**
 * How several workers enforce one exact limit without a round trip per request.
 *
 * The primary owns the sliding logs. Far from the limit, its answer includes a lease: permits that the worker may grant by
 * itself for a short time. When the lease expires or is used up, the worker returns it: it reports how many permits it used and when it used
 * the last one, and the rest is free again. Near the limit the primary grants no leases, and the worker asks for every
 * decision.
 *
 *     worker                                        primary
 *     take(a)  --  take a  ----------------------->  one permit from the log of a; 60 more reserved
 *              <--  allowed, lease 1: 60 permits --
 *     take(a), take(a), ...  without a message       reserved permits count in the log all the time
 *              --  return lease 1: 42 spent ------>   42 in the log, 18 free again
 *
 * While a worker waits for the answer for a client, further requests of that client wait for the same answer and are served
 * from its lease. If the answer has no lease, or a lease that is small compared to the number of waiting requests, each of them
 * asks separately.
 *
 * The states of a lease in the primary:
 *
 *     granted --used up, `leaseMs` have passed, or recalled--> returned: used permits count, the rest is free
 *       |
 *       +--its worker died or does not return it in time-----> lost: all of its permits count as used
 *
 * If a log has no permit left while some are reserved, unused permits may be at another worker. The primary then recalls the
 * leases of that client, and questions for it wait in the order of arrival until these leases are returned. A client is never
 * rejected while one of its leases is outstanding. A worker that received a rejection knows until when it holds, and rejects
 * that client by itself until then.
 *
 * Invariants
 * - Reserved permits are never granted to another request. Used permits count from a moment that is not earlier than their
 *   use. So no window ever holds more than its quota, however messages are delayed or lost.
 * - A worker uses no permit of a lease from `expiresAt` on, by a clock that all processes of the host share. So a lost lease
 *   can be counted as used at that moment.
 * - A worker has at most one lease per client. The channel preserves the order of messages: a returned lease arrives before the
 *   next question.
 *
 * The time of a request is the time of its decision, in the worker or in the primary. All permits used from a lease count
 * from the use of the last one, so a permit may become free up to `leaseMs` later than necessary.
 *
 * If the primary does not answer within the deadline, requests are allowed or rejected as the settings specify, without
 * further waiting. One question at a time probes whether the primary answers again.
 */

import type { Limit, Policy } from './limit-store.ts';

export interface LimitQuestion {
  readonly id: number;
  /** The name of a limit defined on this channel. */
  readonly limit: string;
  readonly key: string;
}

export interface LimitAnswer {
  readonly id: number;
  readonly allowed: boolean;
  /** The index of the policy among those of the limit. */
  readonly policy: number;
  /** The permits left in that policy, without those of the lease. */
  readonly remaining: number;
  readonly resetMs: number;
  /** The time of the decision, by the clock of the host. */
  readonly decidedAt: number;
  readonly lease: LeaseGrant | null;
}

export interface LeaseGrant {
  readonly id: number;
  readonly permits: number;
  /** From this time on no permit of the lease may be used, by the clock of the host. */
  readonly expiresAt: number;
}

/** The report of a worker at the end of a lease. */
export interface ReturnedLease {
  readonly lease: number;
  readonly spent: number;
  /** The time of the last use of a permit, by the clock of the host. */
  readonly lastAt: number;
}

/** The channel of a worker to the primary. Messages arrive in the order in which they were sent. */
export interface LimitChannel {
  /** Defines, or redefines, the limit with this name. */
  define(limit: Limit): void;
  ask(question: LimitQuestion): void;
  returnLease(returned: ReturnedLease): void;
  /** Registers the receiver of messages from the primary. */
  listen(receiver: LimitReceiver): void;
}

/** Receives the messages of the primary to one worker. */
export interface LimitReceiver {
  answer(answer: LimitAnswer): void;
  /** Requests the immediate returned of a lease. */
  recall(lease: number): void;
}

/** The maximum duration of a lease, in milliseconds. */
export const leaseMs = 100;

/** About as many as a busy worker uses in that time. With fewer, its requests would wait for one lease after another. */
const maxPermits = 1024;
const minPermits = 2;

/** Returns how many of the `remaining` permits to lease to one worker; 0 near the limit. */
export function leaseSize(remaining: number): number {
  const share = Math.min(maxPermits, Math.floor(remaining / 8));
  return share < minPermits ? 0 : share;
}

/** Returns the duration of a lease of this limit, in milliseconds: at most a tenth of each of its windows. */
export function leaseDuration(policies: readonly Policy[]): number {
  let duration = leaseMs;
  for (const { windowMs } of policies) duration = Math.min(duration, Math.floor(windowMs / 10));
  return duration;
}
