/**
 * Sends the names of invalidated values to the other processes, for everything that a process keeps in its own memory: values
 * (`memory-store.ts`), loads in progress (`cached-function.ts`), and checked credentials.
 *
 *     process ──> primary ──> the other workers of the node        always
 *             ──> Redis   ──> the processes of all nodes           with SECURITY_REDIS_ENABLED=true
 *
 * A message may be lost: while Redis is away, and while a worker starts or is replaced. Then the time to live of a value
 * bounds how long it is used. A process may receive a message twice, and its own.
 */

import * as z from 'zod';
import type { Redis } from '../redis/redis.ts';
import type { Invalidation } from './cache-store.ts';

export interface InvalidationBus {
  /** Sends an invalidation to the other processes. Never throws. */
  publish(invalidation: Invalidation): void;
  /** Calls the listener for each invalidation of another process. */
  subscribe(listener: (invalidation: Invalidation) => void): void;
}

/** The maximum number of keys, and of tags, in one message. */
export const maxNames = 1_000;

const name = z.string().max(500);

/** An invalidation as it is sent over Redis. */
const invalidationMessage = z.object({
  keys: z.array(name).max(maxNames),
  tags: z.array(name).max(maxNames),
});

/** The bus of a process without others. */
export const noBus: InvalidationBus = { publish() {}, subscribe() {} };

/** Sends through all of them, so that the workers of a node are reached while Redis is away. */
export function combineBuses(...buses: readonly InvalidationBus[]): InvalidationBus {
  return {
    publish(invalidation) {
      for (const bus of buses) bus.publish(invalidation);
    },
    subscribe(listener) {
      for (const bus of buses) bus.subscribe(listener);
    },
  };
}

export interface RedisBusOptions {
  readonly redis: Redis;
  /** The first part of the name of the channel. */
  readonly prefix: string;
}

const subscribePauseMs = 1_000;

/** Creates a bus over Redis. It subscribes as soon as there is a connection. */
export function createRedisBus({ redis, prefix }: RedisBusOptions): InvalidationBus & { stop(): void } {
  const channel = `${prefix}cache:invalidated`;
  const listeners: ((invalidation: Invalidation) => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  function receive(text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      // Is not from a program like this one, so the schema rejects it too.
    }
    const { data } = invalidationMessage.safeParse(message);
    if (data !== undefined) for (const listener of listeners) listener(data);
  }

  function subscribe(): void {
    if (isStopped) return;
    redis.subscribe(channel, receive).catch(() => {
      timer = setTimeout(subscribe, subscribePauseMs).unref();
    });
  }
  subscribe();

  return {
    publish({ keys, tags }) {
      redis.send(undefined, ['PUBLISH', channel, JSON.stringify({ keys, tags })]).catch(() => {
        // Redis is away, which is an event of the connection, and of the cache if it uses this Redis.
      });
    },
    subscribe: (listener) => void listeners.push(listener),
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
