/**
 * A connection to Redis, for everything in this process that uses it: one server, a cluster, or the master that Sentinel
 * names (`redis-url.ts`). The protocol is the work of the optional package `@redis/client`.
 *
 * A user of this module must never wait for a Redis that is away:
 *
 * - Without a connection, a command rejects immediately; it is not queued until the connection is back.
 * - A server that does not answer, with or without a closed connection, is found by a ping every 2 s: after 5 s of silence
 *   the connection is closed, its commands reject, and a new one is opened. Users that cannot wait so long have a deadline
 *   of their own.
 * - Reconnecting backs off up to 2 s, with jitter.
 *
 * A rejected command may or may not have been executed.
 */

import { createHash } from 'node:crypto';
import { withTimeout } from '../concurrency/with-timeout.ts';
import { needsPackage, StartError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { backoffDelay } from '../resilience/retry.ts';
import { describeRedis, type RedisTarget } from './redis-url.ts';

/** A Lua script. It runs by its digest, and its text is sent only to a server that does not know it. */
export interface RedisScript {
  readonly text: string;
  readonly digest: string;
}

export interface Redis {
  /** Whether keys are distributed over several servers, so that a script can use only keys with the same hash tag. */
  readonly isCluster: boolean;
  /** Whether a command can be sent now. */
  isReady(): boolean;
  /** The last error of connecting, while there is no connection. */
  problem(): unknown;
  /** Sends a command. `key` is its first key, which selects the server of a cluster; undefined for any server. */
  send(key: string | undefined, command: readonly string[]): Promise<unknown>;
  /** Runs a script on keys of one server. */
  run(script: RedisScript, keys: readonly string[], parameters: readonly string[]): Promise<unknown>;
  /** Calls `onMessage` for each message of a channel, also after a new connection. Messages in between are lost. */
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  /** Closes the connection after its commands are answered, or after `timeoutMs`. Idempotent. */
  close(timeoutMs: number): Promise<void>;
}

export interface RedisOptions {
  readonly target: RedisTarget;
  /** The name of the connection in `CLIENT LIST`. */
  readonly name: string;
  readonly log: Logger;
}

const connectTimeoutMs = 2_000;
const pingMs = 2_000;
const maxSilentMs = 5_000;
const backoff = { baseMs: 50, maxMs: 2_000 };
/** Commands without an answer, so that a server that does not answer costs bounded memory. */
const maxQueue = 10_000;

export function createRedisScript(text: string): RedisScript {
  return { text, digest: createHash('sha1').update(text).digest('hex') };
}

/**
 * Connects in the background: `isReady` returns when it is done. Rejects with a StartError if the package is not installed.
 */
export async function openRedis({ target, name, log }: RedisOptions): Promise<Redis> {
  const client = createConnection(await loadPackage(), target, name);
  let wasReady = false;
  let problem: unknown;
  client.on('ready', () => {
    wasReady = true;
    problem = undefined;
    log.info('redis.connected', { server: describeRedis(target) });
  });
  client.on('error', (error) => {
    // One event per outage: the attempts to reconnect fail with an error each.
    if (wasReady) log.warning('redis.connection_lost', { server: describeRedis(target), error });
    wasReady = false;
    problem = error;
  });
  client.connect().catch(() => {
    // Has been reported as an event, and `close` ends the attempts.
  });
  let closing: Promise<void> | undefined;

  const { send } = client;
  return {
    isCluster: target.kind === 'cluster',
    isReady: client.isReady,
    problem: () => problem,
    send,
    async run({ text, digest }, keys, parameters) {
      const rest = [String(keys.length), ...keys, ...parameters];
      try {
        return await send(keys[0], ['EVALSHA', digest, ...rest]);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        return send(keys[0], ['EVAL', text, ...rest]);
      }
    },
    subscribe: client.subscribe,
    close(timeoutMs) {
      closing ??= withTimeout(client.close(), timeoutMs, client.destroy).catch(client.destroy);
      return closing;
    },
  };
}

/** The common interface of the three kinds of connection. */
interface Connection {
  connect(): Promise<unknown>;
  on(event: 'ready', listener: () => void): void;
  on(event: 'error', listener: (error: unknown) => void): void;
  isReady(): boolean;
  send(key: string | undefined, command: readonly string[]): Promise<unknown>;
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  close(): Promise<void>;
  destroy(): void;
}

function createConnection(
  { createClient, createCluster, createSentinel }: typeof import('@redis/client'),
  target: RedisTarget,
  name: string,
): Connection {
  const { kind, hosts, tls, username, password, database } = target;
  const user = { ...(username && { username }), ...(password && { password }) };
  const socket = {
    ...(tls ? { tls: true as const } : {}),
    connectTimeout: connectTimeoutMs,
    socketTimeout: maxSilentMs,
    reconnectStrategy: (retries: number) => 1 + backoffDelay(retries + 1, backoff, Math.random),
  };
  const common = {
    name,
    pingInterval: pingMs,
    disableOfflineQueue: true,
    commandsQueueMaxLength: maxQueue,
    maintNotifications: 'disabled' as const,
  };

  if (kind === 'cluster') {
    const cluster = createCluster({
      rootNodes: hosts.map(({ host, port }) => ({ socket: { host, port } })),
      defaults: { ...common, ...user, socket },
    });
    let isConnected = false;
    cluster.on('connect', () => {
      isConnected = true;
    });
    return {
      connect: () => cluster.connect(),
      on: (event: string, listener: (error: unknown) => void) => {
        cluster.on(event === 'ready' ? 'connect' : event, listener);
        if (event === 'error') cluster.on('node-error', listener);
      },
      isReady: () => isConnected,
      send: (key, command) => cluster.sendCommand(key, false, [...command]),
      subscribe: async (channel, onMessage) => cluster.subscribe(channel, onMessage),
      close: () => cluster.close(),
      destroy: () => cluster.destroy(),
    };
  }
  if (kind === 'sentinel') {
    const sentinel = createSentinel({
      name: target.master,
      sentinelRootNodes: hosts.map(({ host, port }) => ({ host, port })),
      nodeClientOptions: { ...common, ...user, database, socket },
      sentinelClientOptions: {
        maintNotifications: 'disabled',
        socket: { ...(tls ? { tls: true as const } : {}), connectTimeout: connectTimeoutMs },
        ...(target.sentinelPassword && { password: target.sentinelPassword }),
      },
      passthroughClientErrorEvents: true,
      scanInterval: 2_000,
    });
    return {
      connect: () => sentinel.connect(),
      on: (event: string, listener: (error: unknown) => void) => {
        sentinel.on(event, listener);
      },
      isReady: () => sentinel.isReady,
      send: (_key, command) => sentinel.sendCommand(false, [...command]),
      subscribe: async (channel, onMessage) => sentinel.subscribe(channel, onMessage),
      close: () => sentinel.close(),
      destroy: () => void sentinel.destroy(),
    };
  }
  const [first = { host: 'localhost', port: 6379 }] = hosts;
  const client = createClient({ ...common, ...user, database, socket: { ...socket, ...first } });
  return {
    connect: () => client.connect(),
    on: (event: string, listener: (error: unknown) => void) => {
      client.on(event, listener);
    },
    isReady: () => client.isReady,
    send: (_key, command) => client.sendCommand([...command]),
    subscribe: async (channel, onMessage) => client.subscribe(channel, onMessage),
    close: () => client.close(),
    destroy: () => client.destroy(),
  };
}

async function loadPackage() {
  try {
    return await import('@redis/client');
  } catch (cause) {
    throw new StartError(
      `SECURITY_REDIS_URL ${needsPackage('@redis/client', cause)}, or remove the setting.`,
      {
        cause,
      },
    );
  }
}
