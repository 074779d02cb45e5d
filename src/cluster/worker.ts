/**
 * A worker's end of the channel to its primary: it says every second how it is, and hears when it shall end. A worker
 * whose primary is gone would serve on unsupervised, so it ends too, within a few seconds; its socket was the
 * primary's, and takes no new connection any more. One whose event loop is blocked learns of it only afterwards.
 */

import cluster from 'node:cluster';
import { createDeferred } from '../concurrency/deferred.ts';
import { withTimeout } from '../concurrency/with-timeout.ts';
import type { LimitChannel, LimitReceiver } from '../limits/lease.ts';
import type { Metrics, MetricsSnapshot } from '../observability/metrics/metrics.ts';
import { readToWorker, type ToPrimary } from './messages.ts';
import { observeVitals, type RequestCounts } from './vitals.ts';

/** Why to end: others take over, the whole program stops, or the primary is gone. */
export type StopReason = 'taken over' | 'stopped' | 'orphaned';

export interface PrimaryChannel {
  readonly limits: LimitChannel;
  /** Resolves with the primary's answer: the database is ready, open the server. */
  readonly begun: Promise<{ readonly databaseUrl: string | null }>;
  /** Resolves when it is time to end. */
  readonly stopAsked: Promise<StopReason>;
  /** Resolves when the primary is gone. */
  readonly orphaned: Promise<void>;
  /** Resolves when the message is on its way, or cannot be. */
  send(message: ToPrimary): Promise<void>;
  /** Sends what was counted so far. */
  sendMetrics(): Promise<void>;
  /** Says every second how this process is, and now and then what it has counted. Returns how to end that. */
  report(counts: RequestCounts): () => void;
  /** The metrics of all processes. Rejects if the primary does not answer in time. */
  fleetMetrics(): Promise<MetricsSnapshot>;
  /**
   * Says goodbye, and resolves when the primary has answered: what it had sent before has been read then. Among it may
   * be new connections, which a process that listens no more gives back; if it ended at once, their clients would wait.
   */
  leave(): Promise<void>;
}

const beatMs = 1_000;

/** With every so many beats goes what was counted: that much is lost of a worker that is killed. */
const beatsPerSnapshot = 5;
const collectDeadlineMs = 1_000;

/** Opens the channel. Call it once, early: messages that come before are lost. */
export function openPrimaryChannel(metrics: Metrics): PrimaryChannel {
  // Node would end this process the moment the primary is gone, and cut the requests that are under way.
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
  const collections = new Map<number, (snapshot: MetricsSnapshot) => void>();
  let lastCollection = 0;
  let receiver: LimitReceiver | undefined;

  const send = (message: ToPrimary) =>
    new Promise<void>((resolve) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => resolve());
      else resolve();
    });
  const sendMetrics = (id = 0) => send({ kind: 'metrics', id, snapshot: metrics.snapshot() });
  const orphaned = new Promise<void>((resolve) => process.on('disconnect', resolve));
  const begun = createDeferred<{ databaseUrl: string | null }>();
  const stopAsked = createDeferred<StopReason>();
  void orphaned.then(() => stopAsked.resolve('orphaned'));
  process.on('message', (message: unknown) => {
    const known = readToWorker(message);
    if (known?.kind === 'decision') receiver?.answer(known);
    else if (known?.kind === 'recall') receiver?.recall(known.lease);
    else if (known?.kind === 'scrape') void sendMetrics(known.id);
    else if (known?.kind === 'collected') collections.get(known.id)?.(known.snapshot);
    else if (known?.kind === 'stop') stopAsked.resolve(known.takenOver ? 'taken over' : 'stopped');
    else if (known?.kind === 'begin') begun.resolve(known);
  });
  void send({ kind: 'hello' });

  return {
    begun: begun.promise,
    stopAsked: stopAsked.promise,
    orphaned,
    send,
    sendMetrics: () => sendMetrics(),
    async leave() {
      if (!process.connected) return;
      cluster.worker?.disconnect();
      await orphaned;
    },
    limits: {
      define: ({ name, policies }) => void send({ kind: 'limit', name, policies: [...policies] }),
      ask: (question) => void send({ kind: 'take', ...question }),
      settle: (settlement) => void send({ kind: 'settle', ...settlement }),
      listen: (given) => {
        receiver = given;
      },
    },
    report(counts) {
      const vitals = observeVitals(counts);
      let beats = 0;
      const timer = setInterval(() => {
        void send({ kind: 'beat', ...vitals.read() });
        beats += 1;
        if (beats % beatsPerSnapshot === 0) void sendMetrics();
      }, beatMs);
      return () => {
        clearInterval(timer);
        vitals.stop();
      };
    },
    async fleetMetrics() {
      lastCollection += 1;
      const id = lastCollection;
      const collection = createDeferred<MetricsSnapshot>();
      collections.set(id, collection.resolve);
      void send({ kind: 'collect', id });
      try {
        return await withTimeout(collection.promise, collectDeadlineMs, () => {
          throw new Error(`The primary did not send the metrics within ${collectDeadlineMs} ms.`);
        });
      } finally {
        collections.delete(id);
      }
    },
  };
}
