/**
 * How the workers of a node load each value once at a time, without Redis. Every worker keeps values in its own memory. Before
 * it loads one, it asks the primary, which grants the load of a value to one worker. The other workers wait for its value.
 *
 *     worker 1                      primary                             worker 2
 *     ask 1: key, tags  --------->  no load of this value yet
 *              <--  1: granted  --
 *     loads ...                     worker 1 is loading it  <---------  ask 7: key, tags
 *              <--  1: awaited  --                           -- 7: waiting  -->
 *     ... finish 1: text  ------->                           -- 7: the text -->  keeps it in memory
 *
 * A hit sends no message. A value that no other worker waits for is not sent. A failed load, and a value that is longer
 * than `maxSentLength`, is finished without a value: then the next waiting worker is granted the load.
 *
 * The states of a question in the primary:
 *
 *     asked ────────> granted ── finished, its worker exits, it is revoked, or `maxLoadMs` pass ──> over
 *       │                ^
 *       │                │ the load before it is over without a value, and this question is the next
 *       └──> waiting ────┴── another load has finished with a value: answered ──> over
 *                        └── the worker has waited for `maxFlightMs`, or exits ──> over
 *
 * Invariants
 * 1. For one value (a key with its tags) at most one question is granted at a time. Two cases permit another load beside it:
 *    the granted one was revoked by an invalidation, or has run for `maxLoadMs`.
 * 2. A worker receives no value of a load that began before an invalidation which that worker had applied before it asked.
 *    The primary revokes the loads of invalidated values, and the channel preserves the order of messages: the
 *    message about an invalidation arrives before each question that follows it. For the same reason, every process that
 *    applies an invalidation from elsewhere (Redis) notifies the primary in the same turn of its event loop.
 * 3. A received value is kept only if the worker has applied no invalidation of it since it asked.
 * 4. Every question is answered or given up: a worker waits for the first answer at most `deadlineMs`, and for a value at
 *    most `maxFlightMs`. After that it loads by itself. A call never fails because of the primary.
 *
 * Failures
 * - The worker that loads dies: the primary grants the load to the next waiting worker when the process has ended.
 * - The primary is blocked: workers load without it after `deadlineMs`, and then ask again after `retryMs`. A late answer
 *   to a question that was given up changes nothing, because its withdrawal is already on the way.
 * - The primary dies: its workers exit too (`cluster/supervisor-channel.ts`).
 * - The primary has older code than its workers, which a reload permits: it does not offer to share loads (`begin`), and the
 *   workers do not ask. A worker of another release may send a value with another schema or version. Then the receiver asks
 *   again and accepts no value, only the load itself.
 * - An invalidation arrives during a load: the load continues for its callers, and the primary grants the next one.
 */

import type { Invalidation } from './cache-store.ts';

export interface LoadQuestion {
  readonly id: number;
  readonly key: string;
  readonly tags: readonly string[];
  /** False if this worker cannot use the value of another one and must load it. */
  readonly acceptsValue: boolean;
}

/** A value that another worker has loaded. The times are those of the clock of the host, in milliseconds. */
export interface LoadedValue {
  readonly text: string;
  readonly freshUntil: number;
  readonly staleUntil: number;
}

/**
 * `granted`: the worker of this question loads now. `waiting`: another worker loads. `awaited`: another worker waits for the
 * value of this granted question.
 */
export type LoadState = 'granted' | 'waiting' | 'awaited';

/** The channel of a worker to the primary. Messages arrive in the order in which they were sent. */
export interface LoadChannel {
  ask(question: LoadQuestion): void;
  /** Ends a granted question, with its value if another worker waits for it; or withdraws a waiting one. */
  finish(id: number, value: LoadedValue | null): void;
  /** Revokes the loads of values that a process outside of this node has invalidated. */
  revoke(invalidation: Invalidation): void;
  /** Registers the receiver of messages from the primary. */
  listen(receiver: LoadReceiver): void;
}

/** Receives the messages of the primary to one worker. */
export interface LoadReceiver {
  enter(id: number, state: LoadState): void;
  receive(id: number, value: LoadedValue): void;
}

/** How long a granted load excludes others, in milliseconds: less than `maxFlightMs`, so that a call that no longer joins a hanging load is granted its own. */
export const maxLoadMs = 29_000;

/** Longer values are not sent: they would delay the other messages of the primary, such as those of the rate limit. */
export const maxSentLength = 131_072;
