/**
 * The limiter of a worker: the sliding logs are in the primary, so that the limits hold over all workers and however
 * the connections fall on them. Every decision is asked for; the primary (`primary-limits.ts`) answers in the order
 * of arrival.
 *
 *     worker                               primary
 *     take(login, a)  -- limit login -->   knows what "login" is, for this worker
 *                     -- take login a -->  one permit of the log that all workers share
 *                     <-- decision ------
 *     take(login, b)  -- take login b -->  ...
 *
 * The channel keeps the order of messages, so a definition that was sent is known when the question arrives.
 *
 * If the primary does not answer within the deadline the request is let in, and the log says so: a limiter
 * that is down must not take the service with it.
 */

import type { Decision, Limit, LimitStore, Policy } from './limit-store.ts';

/** The way to the primary and back. Messages arrive in the order in which they were sent. */
export interface LimitChannel {
  /** Says what the limit of this name is from now on. */
  define(limit: Limit): void;
  ask(question: LimitQuestion): void;
  /** Registers who gets the answers. */
  onDecision(receive: (answer: LimitAnswer) => void): void;
}

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
  readonly remaining: number;
  readonly resetMs: number;
}

export interface ClusterLimitOptions {
  readonly channel: LimitChannel;
  /** How long to wait for the primary, in milliseconds. */
  readonly deadlineMs: number;
  readonly onTimeout: () => void;
}

export function createClusterLimitStore({ channel, deadlineMs, onTimeout }: ClusterLimitOptions): LimitStore {
  const defined = new Map<string, Limit>();
  const waiting = new Map<number, (answer: LimitAnswer) => void>();
  let lastId = 0;

  channel.onDecision((answer) => {
    const decided = waiting.get(answer.id);
    waiting.delete(answer.id);
    decided?.(answer);
  });

  return {
    take(limit, key) {
      if (defined.get(limit.name) !== limit) {
        channel.define(limit);
        defined.set(limit.name, limit);
      }
      lastId += 1;
      const id = lastId;
      return new Promise<Decision>((resolve) => {
        const timer = setTimeout(() => {
          waiting.delete(id);
          onTimeout();
          resolve(letIn(policyOf(limit, 0)));
        }, deadlineMs);
        waiting.set(id, ({ allowed, policy, remaining, resetMs }) => {
          clearTimeout(timer);
          resolve({ allowed, policy: policyOf(limit, policy), remaining, resetMs });
        });
        channel.ask({ id, limit: limit.name, key });
      });
    },
  };
}

/** Nobody knows how much of the quota is left; the client is told that all of it is. */
function letIn(policy: Policy): Decision {
  return { allowed: true, policy, remaining: policy.quota, resetMs: 0 };
}

function policyOf({ name, policies }: Limit, index: number): Policy {
  const policy = policies[index];
  if (policy === undefined) throw new RangeError(`The limit "${name}" has no policy ${index}.`);
  return policy;
}
