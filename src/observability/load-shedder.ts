/**
 * Decides which requests an overloaded process rejects, with what operators see of it: metrics, an event when it starts and
 * one when it ends, and a sentence for readiness.
 *
 *     calm ──a request is rejected──> shedding ──none is rejected for `calmMs`──> calm
 *
 * The limit of requests adapts to the turns of the event loop (resilience/concurrency-limit.ts). Callers that are signed in may
 * use all of it, others only a part, so that they are rejected first. A turn is measured if a request arrives or ends in it, so
 * an idle process costs nothing.
 */

import { getHeapStatistics } from 'node:v8';
import { ConcurrencyLimit } from '../resilience/concurrency-limit.ts';
import type { Logger } from './logger.ts';
import type { CounterSeries, Metrics } from './metrics/metrics.ts';

export interface LoadShedderOptions {
  /** The maximum number of requests in progress. */
  readonly maxRequests: number;
  /** The length of the turns of the event loop over which it is overloaded, in milliseconds. */
  readonly targetMs: number;
  /** Returns how long the first query in the queue for a database connection has waited, in milliseconds. */
  readonly queueMs: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export type CallerClass = 'signed_in' | 'anonymous';

export interface LoadShedder {
  /** Admits a request or rejects it. Call `release` once for an admitted request. */
  admit(caller: CallerClass): boolean;
  release(): void;
  /** Counts a request again that was released. */
  resume(): void;
  /** Returns a sentence while requests are rejected; undefined otherwise. */
  problem(): string | undefined;
}

/** With a smaller limit, the share of anonymous callers would be none, or all. */
const minLimit = 8;
/** The part of the heap limit above which memory is short. */
const shortHeap = 0.9;
const heapCheckMs = 100;
/** A query that waits longer for a connection shows that more requests are admitted than the database answers. */
const queueTargetMs = 50;
/**
 * A turn counts as at most this many times its processor time. While other programs use the processors, turns are long however
 * little work they have, and a limit that falls further would reject requests without making turns shorter.
 */
const maxSlowdown = 2;
const calmMs = 2_000;

export function createLoadShedder(options: LoadShedderOptions): LoadShedder {
  const { maxRequests, targetMs, queueMs, log, metrics } = options;
  const limit = new ConcurrencyLimit({
    minLimit: Math.min(minLimit, maxRequests),
    maxLimit: maxRequests,
    targetMs,
    queueTargetMs,
  });
  const rejected = declareMetrics(metrics, limit);
  const heapLimit = getHeapStatistics().heap_size_limit;

  let isTurnMeasured = false;
  let turnEndedAt = performance.now();
  let idleBefore = performance.eventLoopUtilization().idle;
  let cpuBefore = processorMs();
  let heapCheckedAt = 0;
  let isMemoryShort = false;
  /** The current time of shedding; undefined while all requests are admitted. */
  let shedding: { readonly startedAt: number; rejectedAt: number; count: number } | undefined;

  /** Ends the turn behind the work that the event loop does in it. */
  function measureTurn(): void {
    if (isTurnMeasured) return;
    isTurnMeasured = true;
    setImmediate(endTurn);
  }

  function endTurn(): void {
    isTurnMeasured = false;
    const now = performance.now();
    const { idle } = performance.eventLoopUtilization();
    const cpuMs = processorMs();
    // A loop that has not been idle since the last measurement may have ended several turns without requests.
    const busyMs = now - turnEndedAt - (idle - idleBefore);
    const boundMs = maxSlowdown * (cpuMs - cpuBefore);
    turnEndedAt = now;
    idleBefore = idle;
    cpuBefore = cpuMs;
    if (now - heapCheckedAt >= heapCheckMs) {
      heapCheckedAt = now;
      isMemoryShort = getHeapStatistics().used_heap_size > heapLimit * shortHeap;
    }
    limit.endTurn(Math.max(0, Math.min(busyMs, boundMs)), now, { isMemoryShort, queueMs: queueMs() });
  }

  function reject(caller: CallerClass): void {
    rejected[caller][limit.isMemoryShort ? 'memory' : 'load'].add();
    const now = performance.now();
    if (shedding !== undefined) {
      shedding.rejectedAt = now;
      shedding.count += 1;
      return;
    }
    shedding = { startedAt: now, rejectedAt: now, count: 1 };
    log.warning('load.shedding_started', {
      limit: Math.floor(limit.limit),
      in_flight: limit.inProgress,
      turn_ms: Math.round(limit.waitMs),
      queue_ms: Math.round(queueMs()),
      reason: limit.isMemoryShort ? 'memory' : 'load',
      advice: 'Requests get 503 with Retry-After. Add processes, or find what makes requests expensive.',
    });
    setTimeout(endShedding, calmMs).unref();
  }

  function endShedding(): void {
    if (shedding === undefined) return;
    const now = performance.now();
    const leftMs = shedding.rejectedAt + calmMs - now;
    if (leftMs > 0) {
      setTimeout(endShedding, leftMs).unref();
      return;
    }
    const { startedAt, rejectedAt, count } = shedding;
    shedding = undefined;
    log.info('load.shedding_ended', {
      rejected: count,
      seconds: Math.round((rejectedAt - startedAt) / 100) / 10,
    });
  }

  return {
    admit(caller) {
      measureTurn();
      const isAdmitted = limit.admit(caller === 'signed_in');
      if (!isAdmitted) reject(caller);
      return isAdmitted;
    },
    release() {
      measureTurn();
      limit.release();
    },
    resume: () => limit.resume(),
    problem() {
      if (shedding === undefined) return undefined;
      const cause = limit.isMemoryShort ? 'memory is short' : 'the process or its database is overloaded';
      return `Some requests are rejected at the moment, because ${cause}.`;
    },
  };
}

/** Returns the processor time of this process, in milliseconds. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function declareMetrics(metrics: Metrics, limit: ConcurrencyLimit) {
  const limits = metrics.gauge({
    name: 'load_limit',
    help: 'Requests that may be in progress before others are rejected, adapted to the load (SECURITY_ENABLE_DDOS_PROTECTION).',
  });
  const inProgress = metrics.gauge({
    name: 'load_in_flight',
    help: 'Requests in progress that count against load_limit: not those that are being received or sent.',
  });
  const rejections = metrics.counter({
    name: 'load_rejections_total',
    help: 'Requests rejected by the layer load-shedding, by caller (anonymous or signed_in) and reason: load (the event loop or the database is overloaded) or memory (the heap is almost full).',
    labels: ['caller', 'reason'],
  });
  metrics.onCollect(() => {
    limits.of().set(Math.floor(limit.limit));
    inProgress.of().set(limit.inProgress);
  });
  const of = (caller: CallerClass) => ({
    load: rejections.of(caller, 'load'),
    memory: rejections.of(caller, 'memory'),
  });
  const series: Readonly<Record<CallerClass, Readonly<Record<'load' | 'memory', CounterSeries>>>> = {
    anonymous: of('anonymous'),
    signed_in: of('signed_in'),
  };
  return series;
}
