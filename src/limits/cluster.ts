/**
 * The limiter of a worker: the sliding logs are in the primary, so that the limit holds over all workers and however
 * the connections fall on them. Every decision is asked for; the primary answers in the order of arrival.
 *
 * If the primary does not answer within the deadline the request is let in, and the log says so: a limiter
 * that is down must not take the service with it.
 */

import type { Decision, LimitStore, Policy } from './limit-store.ts';

/** The way to the primary and back. */
export interface LimitChannel {
  ask(question: { readonly id: number; readonly key: string }): void;
  /** Registers who gets the answers. */
  onDecision(receive: (answer: LimitAnswer) => void): void;
}

export interface LimitAnswer {
  readonly id: number;
  readonly allowed: boolean;
  /** The index of the policy in the list that both sides have from the settings. */
  readonly policy: number;
  readonly remaining: number;
  readonly resetMs: number;
}

export interface ClusterLimitOptions {
  readonly policies: readonly Policy[];
  readonly channel: LimitChannel;
  /** How long to wait for the primary, in milliseconds. */
  readonly deadlineMs: number;
  readonly onTimeout: () => void;
}

export function createClusterLimitStore({
  policies,
  channel,
  deadlineMs,
  onTimeout,
}: ClusterLimitOptions): LimitStore {
  const waiting = new Map<number, (decision: Decision) => void>();
  let lastId = 0;

  channel.onDecision(({ id, policy, ...rest }) => {
    const decided = waiting.get(id);
    waiting.delete(id);
    decided?.({ ...rest, policy: policyAt(policy) });
  });

  function policyAt(index: number): Policy {
    const policy = policies[index];
    if (policy === undefined) throw new RangeError(`The limit has no policy ${index}.`);
    return policy;
  }

  return {
    take(key) {
      lastId += 1;
      const id = lastId;
      return new Promise<Decision>((resolve) => {
        const timer = setTimeout(() => {
          waiting.delete(id);
          onTimeout();
          resolve({ allowed: true, policy: policyAt(0), remaining: 0, resetMs: 0 });
        }, deadlineMs);
        waiting.set(id, (decision) => {
          clearTimeout(timer);
          resolve(decision);
        });
        channel.ask({ id, key });
      });
    },
  };
}
