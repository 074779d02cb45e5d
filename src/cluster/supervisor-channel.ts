/**
 * The child's end of the channel to its supervisor. It sends a heartbeat every second, and receives the order to stop. An
 * HTTP worker whose primary is gone would run unsupervised, so it stops too, within a few seconds; its socket belonged to
 * the primary, and gets no new connection. A child whose event loop is blocked notices this only afterwards.
 */

import cluster from 'node:cluster';
import type { BanChannel, BanReceiver } from '../bans/ban-messages.ts';
import type { Invalidation } from '../cache/cache-store.ts';
import type { InvalidationBus } from '../cache/invalidation-bus.ts';
import type { LoadChannel, LoadReceiver } from '../cache/shared-load.ts';
import { createDeferred } from '../concurrency/deferred.ts';
import { withTimeout } from '../concurrency/with-timeout.ts';
import type { LimitChannel, LimitReceiver } from '../limits/lease.ts';
import type { Metrics, MetricsSnapshot } from '../observability/metrics/metrics.ts';
import { parseToChild, type ToSupervisor } from './messages.ts';
import { observeVitals, type RequestCounts } from './vitals.ts';

/** Why to stop: others take over, the whole program stops, or the supervisor is gone. */
export type StopReason = 'taken over' | 'stopped' | 'orphaned';

export interface StartOrder {
  /** The database that the supervisor has opened; null if there is none. */
  readonly databaseUrl: string | null;
  readonly isRestart?: boolean | undefined;
  /** Whether the supervisor coordinates the loads of cached values. */
  readonly sharesLoads?: boolean | undefined;
}

export interface SupervisorChannel {
  readonly limits: LimitChannel;
  readonly bans: BanChannel;
  /** Reaches the other workers. */
  readonly invalidations: InvalidationBus;
  /** Coordinates the loads of cached values with the other workers. Use it only if the start order allows it. */
  readonly loads: LoadChannel;
  /** Resolves when the supervisor orders the start: the database is available. */
  readonly startOrder: Promise<StartOrder>;
  /** Resolves when the supervisor orders the stop, or is gone. */
  readonly stopOrder: Promise<StopReason>;
  /** Returns whether the supervisor has asked this process to drain without waiting on idle connections. */
  isHastened(): boolean;
  /** Resolves when the supervisor is gone. */
  readonly orphaned: Promise<void>;
  /** Resolves when the message has been sent, or cannot be. */
  send(message: ToSupervisor): Promise<void>;
  /** Sends the metrics of this process. */
  sendMetrics(): Promise<void>;
  /** Starts the heartbeats, some of which carry the metrics too. Returns a function that stops them. */
  startHeartbeat(counts: RequestCounts): () => void;
  /** Resolves with the metrics of all processes. Rejects if the supervisor does not answer in time. */
  fleetMetrics(): Promise<MetricsSnapshot>;
  /**
   * Disconnects, and resolves when the supervisor has confirmed it: by then, all its messages have been received. They may
   * include new connections, which a process that no longer listens returns. If the process exited without this step, the
   * clients of those connections would wait.
   */
  leave(): Promise<void>;
}

const heartbeatMs = 1_000;

/** Every so many heartbeats, the metrics are sent too. If the process is killed, the counts since then are lost. */
const heartbeatsPerSnapshot = 5;
const collectTimeoutMs = 1_000;

/** Opens the channel. Call it once and early: messages that arrive before are lost. */
export function openSupervisorChannel(metrics: Metrics): SupervisorChannel {
  // Otherwise Node exits the process as soon as the primary is gone, and aborts the requests in progress.
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
  const collections = new Map<number, (snapshot: MetricsSnapshot) => void>();
  let lastCollection = 0;
  let isHastened = false;
  let receiver: LimitReceiver | undefined;
  let banReceiver: BanReceiver | undefined;
  let loadReceiver: LoadReceiver | undefined;
  const invalidationListeners: ((invalidation: Invalidation) => void)[] = [];

  const send = (message: ToSupervisor) =>
    new Promise<void>((resolve) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
      else resolve();
    });
  const sendMetrics = (id = 0) => send({ kind: 'metrics', id, snapshot: metrics.snapshot() });
  const orphaned = new Promise<void>((resolve) => process.on('disconnect', resolve));
  const startOrder = createDeferred<StartOrder>();
  const stopOrder = createDeferred<StopReason>();
  void orphaned.then(() => stopOrder.resolve('orphaned'));
  process.on('message', (message: unknown) => {
    const known = parseToChild(message);
    if (known?.kind === 'decision') receiver?.answer(known);
    else if (known?.kind === 'recall') receiver?.recall(known.lease);
    else if (known?.kind === 'banned') banReceiver?.started(known.bans);
    else if (known?.kind === 'unbanned') banReceiver?.lifted(known.clients);
    else if (known?.kind === 'invalidated') for (const listener of invalidationListeners) listener(known);
    else if (known?.kind === 'load-state') loadReceiver?.enter(known.id, known.state);
    else if (known?.kind === 'load-value') loadReceiver?.receive(known.id, known.value);
    else if (known?.kind === 'scrape') void sendMetrics(known.id);
    else if (known?.kind === 'collected') collections.get(known.id)?.(known.snapshot);
    else if (known?.kind === 'stop') stopOrder.resolve(known.takenOver ? 'taken over' : 'stopped');
    else if (known?.kind === 'hasten') isHastened = true;
    else if (known?.kind === 'begin') startOrder.resolve(known);
  });
  void send({ kind: 'hello' });

  return {
    startOrder: startOrder.promise,
    stopOrder: stopOrder.promise,
    isHastened: () => isHastened,
    orphaned,
    send,
    sendMetrics: () => sendMetrics(),
    async leave() {
      if (!process.connected) return;
      cluster.worker?.disconnect();
      await orphaned;
    },
    invalidations: {
      publish: ({ keys, tags }) => void send({ kind: 'invalidate', keys: [...keys], tags: [...tags] }),
      subscribe: (listener) => void invalidationListeners.push(listener),
    },
    bans: {
      report: (offenders) =>
        void send({
          kind: 'offences',
          offenders: offenders.map((each) => ({ ...each, failures: [...each.failures] })),
        }),
      listen: (given) => {
        banReceiver = given;
      },
    },
    loads: {
      ask: ({ tags, ...question }) => void send({ kind: 'load', ...question, tags: [...tags] }),
      finish: (id, value) => void send({ kind: 'load-end', id, value }),
      revoke: ({ keys, tags }) => void send({ kind: 'load-revoke', keys: [...keys], tags: [...tags] }),
      listen: (given) => {
        loadReceiver = given;
      },
    },
    limits: {
      define: ({ name, policies }) => void send({ kind: 'limit', name, policies: [...policies] }),
      ask: (question) => void send({ kind: 'take', ...question }),
      returnLease: (returned) => void send({ kind: 'return', ...returned }),
      listen: (given) => {
        receiver = given;
      },
    },
    startHeartbeat(counts) {
      const vitals = observeVitals(counts);
      let heartbeats = 0;
      const timer = setInterval(() => {
        void send({ kind: 'beat', ...vitals.read() });
        heartbeats += 1;
        if (heartbeats % heartbeatsPerSnapshot === 0) void sendMetrics();
      }, heartbeatMs);
      return () => {
        clearInterval(timer);
        vitals.stop();
      };
    },
    async fleetMetrics() {
      lastCollection += 1;
      const id = lastCollection;
      const answer = createDeferred<MetricsSnapshot>();
      collections.set(id, answer.resolve);
      void send({ kind: 'collect', id });
      try {
        return await withTimeout(answer.promise, collectTimeoutMs, () => {
          throw new Error(`The primary did not send the metrics within ${collectTimeoutMs} ms.`);
        });
      } finally {
        collections.delete(id);
      }
    },
  };
}
