/**
 * A connection to Redis, for everything in this process that uses it: one server, a cluster, or the master that Sentinel
 * names (`redis-url.ts`). The protocol is the work of the optional package `@redis/client`.
 *
 * A user of this module must never wait for a Redis that is away:
 *
 * - Without a connection, a command rejects immediately; it is not queued until the connection is back.
 * - A connection without answers is found by a ping every 3 s: if it has no answer when the next one is due, the connection
 *   is closed, its commands reject, and a new one is opened. A socket timeout alone would not find it, because Node.js
 *   counts from the last write, and this program keeps writing. Users that cannot wait so long have a deadline of their own.
 * - Reconnecting backs off up to 2 s, with jitter.
 *
 * A rejected command may or may not have been executed.
 */

import { createHash } from 'node:crypto';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { withTimeout } from '../concurrency/with-timeout.ts';
import { needsPackage, reasonOf, StartError } from '../errors.ts';
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
  send(key: string | undefined, command: string[]): Promise<unknown>;
  /** Runs a script on keys of one server. */
  run(script: RedisScript, keys: readonly string[], parameters: readonly string[]): Promise<unknown>;
  /**
   * Calls `onMessage` for each message of a channel, also after a new connection. Messages in between are lost. Without a
   * connection, resolves immediately, and subscribes when there is one.
   */
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  /** Closes the connection after its commands are answered, or after `timeoutMs`. Idempotent. */
  close(timeoutMs: number): Promise<void>;
}

export interface RedisOptions {
  readonly target: RedisTarget;
  /** The name of the connection in `CLIENT LIST`. */
  readonly name: string;
  readonly log: Logger;
  /** The time between two pings. Default: 3 s. */
  readonly pingMs?: number;
}

const connectTimeoutMs = 2_000;
const defaultPingMs = 3_000;
/** The longest handshake of a new connection. */
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
export async function openRedis({ target, name, log, pingMs = defaultPingMs }: RedisOptions): Promise<Redis> {
  const redisPackage = await loadPackage();
  const server = describeRedis(target);
  const subscriptions: Subscription[] = [];
  let wasReady = false;
  let problem: unknown;
  let failures = 0;
  let closing: Promise<void> | undefined;
  let connection = connect();

  function connect(): Connection {
    const made = createConnection(redisPackage, target, name);
    const subscribed = new Set<Subscription>();
    made.on('ready', () => {
      for (const each of subscriptions) {
        if (subscribed.has(each)) continue;
        subscribed.add(each);
        made.subscribe(each.channel, each.onMessage).catch(() => subscribed.delete(each));
      }
      failures = 0;
      problem = undefined;
      if (!wasReady) log.info('redis.connected', { server });
      wasReady = true;
    });
    made.on('error', (error) => {
      if (made === connection) report(error);
    });
    // The package itself reconnects to one server, but gives up a cluster or Sentinel that does not answer.
    made.connect().catch(async (error: unknown) => {
      if (closing !== undefined || made !== connection) return;
      report(error);
      failures += 1;
      await delay(backoffDelay(failures, backoff, Math.random), undefined, { ref: false });
      replace(made);
    });
    return made;
  }

  /** Writes one event per outage: the attempts to reconnect fail with an error each. */
  function report(error: unknown): void {
    // Not the error: reading its stack with source maps takes a tenth of a second, and requests would wait for it.
    if (wasReady) log.warning('redis.connection_lost', { server, reason: reasonOf(error) });
    wasReady = false;
    problem = error;
  }

  function replace(old: Connection): void {
    if (closing !== undefined || old !== connection) return;
    connection = connect();
    old.destroy();
  }

  async function watch(): Promise<void> {
    while (closing === undefined) {
      const pinged = connection;
      let hasAnswered = !pinged.isReady();
      const onAnswer = () => {
        hasAnswered = true;
      };
      if (!hasAnswered) pinged.ping().then(onAnswer, onAnswer);
      await delay(pingMs, undefined, { ref: false });
      // If this process was blocked, the answer may be unread: it is read before the callback of setImmediate.
      await nextTurn();
      if (hasAnswered || pinged !== connection || !pinged.isReady()) continue;
      report(new Error(`Redis did not answer for ${pingMs} ms.`));
      replace(pinged);
    }
  }
  void watch();

  const send: Redis['send'] = (key, command) => connection.send(key, command);
  return {
    isCluster: target.kind === 'cluster',
    isReady: () => connection.isReady(),
    problem: () => problem,
    send,
    async run({ text, digest }, keys, parameters) {
      const [key] = keys;
      try {
        return await send(key, ['EVALSHA', digest, String(keys.length), ...keys, ...parameters]);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        return send(key, ['EVAL', text, String(keys.length), ...keys, ...parameters]);
      }
    },
    async subscribe(channel, onMessage) {
      const isKnown = subscriptions.some((each) => each.channel === channel && each.onMessage === onMessage);
      if (!isKnown) subscriptions.push({ channel, onMessage });
      // The package subscribes again after each reconnect, and calls a listener that was added twice once.
      if (connection.isReady()) await connection.subscribe(channel, onMessage);
    },
    close(timeoutMs) {
      closing ??= withTimeout(connection.close(), timeoutMs, connection.destroy).catch(connection.destroy);
      return closing;
    },
  };
}

interface Subscription {
  readonly channel: string;
  readonly onMessage: (message: string) => void;
}

/** The common interface of the three kinds of connection. */
interface Connection {
  connect(): Promise<unknown>;
  on(event: 'ready', listener: () => void): void;
  on(event: 'error', listener: (error: unknown) => void): void;
  isReady(): boolean;
  /** Settles when each connected server has answered. */
  ping(): Promise<unknown>;
  send(key: string | undefined, command: string[]): Promise<unknown>;
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
    disableOfflineQueue: true,
    commandsQueueMaxLength: maxQueue,
    maintNotifications: 'disabled' as const,
    // The default makes a timer and a signal for each command, which together cost more than the command.
    commandOptions: { timeout: 0 },
  };
  // `watch` pings the connections for commands. Those for messages, which a cluster and Sentinel open in addition, are pinged by
  // the package, or the socket timeout would close them whenever no message arrives for a while.
  const pinged = { ...common, pingInterval: maxSilentMs / 2 };

  if (kind === 'cluster') {
    const cluster = createCluster({
      rootNodes: hosts.map(({ host, port }) => ({ socket: { host, port } })),
      defaults: { ...pinged, ...user, socket },
    });
    const connected = () =>
      cluster.isOpen ? cluster.masters.flatMap(({ client }) => (client?.isReady ? [client] : [])) : [];
    let nodeError: unknown;
    for (const event of ['error', 'node-error']) {
      cluster.on(event, (error: unknown) => {
        nodeError = error;
      });
    }
    return {
      // The error of a cluster that cannot be used does not contain the reason, such as a wrong password.
      connect: () =>
        cluster.connect().catch((error: unknown) => {
          throw nodeError === undefined ? error : new Error(reasonOf(error), { cause: nodeError });
        }),
      on: (event: string, listener: (error: unknown) => void) => {
        for (const each of event === 'ready' ? ['connect', 'node-ready'] : ['error', 'node-error']) {
          cluster.on(each, listener);
        }
      },
      isReady: () => connected().length > 0,
      ping: () => Promise.all(connected().map((client) => client.sendCommand(['PING']))),
      send: (key, command) => cluster.sendCommand(key, false, command),
      subscribe: async (channel, onMessage) => cluster.subscribe(channel, onMessage),
      close: () => cluster.close(),
      destroy: () => ignoreClosed(() => cluster.destroy()),
    };
  }
  if (kind === 'sentinel') {
    const sentinel = createSentinel({
      name: target.master,
      sentinelRootNodes: hosts.map(({ host, port }) => ({ host, port })),
      nodeClientOptions: { ...pinged, ...user, database, socket },
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
      ping: () => sentinel.sendCommand(false, ['PING']),
      send: (_key, command) => sentinel.sendCommand(false, command),
      subscribe: async (channel, onMessage) => sentinel.subscribe(channel, onMessage),
      close: () => sentinel.close(),
      destroy: () => {
        sentinel.destroy().catch(() => {
          // It was not connected.
        });
      },
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
    ping: () => client.sendCommand(['PING']),
    send: (_key, command) => client.sendCommand(command),
    subscribe: async (channel, onMessage) => client.subscribe(channel, onMessage),
    close: () => client.close(),
    destroy: () => ignoreClosed(() => client.destroy()),
  };
}

/** The package throws if the connection is closed already. */
function ignoreClosed(destroy: () => void): void {
  try {
    destroy();
  } catch {
    // Nothing is left to destroy.
  }
}

async function loadPackage() {
  try {
    return await import('@redis/client');
  } catch (cause) {
    throw new StartError(
      `SECURITY_REDIS_ENABLED=true ${needsPackage('@redis/client', cause)}, or remove the setting.`,
      {
        cause,
      },
    );
  }
}
