/**
 * The runtime metrics of a process: processor time, memory, garbage collection, and the lag of its event loop. The names are
 * those that dashboards for Node.js expect.
 *
 * Lag and utilisation refer to a time window, and several readers must not reset it for each other. So all readers share one
 * window: the first read after 15 seconds or more closes it, and until the next one closes, every reader gets the numbers of
 * the last. The maximum lag includes the current window. A reader that polls every 15 seconds, as Prometheus does, misses
 * nothing.
 */

import { totalmem } from 'node:os';
import {
  constants,
  type EventLoopUtilization,
  monitorEventLoopDelay,
  PerformanceObserver,
  performance,
} from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { CounterSeries, Metrics } from './metrics.ts';
import { readProcessMemory } from './process-memory.ts';

export interface RuntimeMetricsOptions {
  readonly metrics: Metrics;
  /** The version of the program. */
  readonly version: string;
}

export interface RuntimeMetrics {
  /** Stops the observers. Idempotent. */
  stop(): void;
}

const windowMs = 15_000;

/** Declares the metrics of this process and starts to observe it. */
export function startRuntimeMetrics({ metrics, version }: RuntimeMetricsOptions): RuntimeMetrics {
  observeProcess(metrics, version);
  observeMemory(metrics);
  const stopLoop = observeEventLoop(metrics);
  const stopCollector = observeGarbageCollection(metrics);
  return {
    stop() {
      stopLoop();
      stopCollector();
    },
  };
}

function observeProcess(metrics: Metrics, version: string): void {
  const build = metrics.gauge({
    name: 'build_info',
    help: 'Always 1; its labels name the running version and the version of Node.js.',
    labels: ['version', 'node'],
    perWorker: true,
  });
  build.of(version, process.version).set(1);
  const start = metrics.gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, in seconds since 1970.',
    perWorker: true,
  });
  start.of().set(performance.timeOrigin / 1000);

  const cpu = metrics.counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time in seconds, in user mode and in the system.',
  });
  const spent = cpu.of();
  metrics.onCollect(() => {
    const { user, system } = process.cpuUsage();
    growTo(spent, (user + system) / 1e6);
  });
}

/** Raises a counter to a total that is kept elsewhere. */
function growTo(counter: CounterSeries, total: number): void {
  counter.add(total - counter.numbers[0]);
}

function observeMemory(metrics: Metrics): void {
  const gauge = (name: string, help: string) => metrics.gauge({ name, help, perWorker: true }).of();
  const resident = gauge('process_resident_memory_bytes', 'Memory of the process that is in RAM.');
  const limit = gauge(
    'process_memory_limit_bytes',
    'Memory limit of the machine or the container, for all processes.',
  );
  const heapUsed = gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use.');
  const heapTotal = gauge('nodejs_heap_size_total_bytes', 'JavaScript heap that is reserved.');
  const heapLimit = gauge(
    'nodejs_heap_size_limit_bytes',
    'Maximum size of the JavaScript heap; beyond it the process crashes.',
  );
  const external = gauge(
    'nodejs_external_memory_bytes',
    'Memory of buffers and other objects outside of the heap.',
  );
  // A container without a limit reports one above the memory of the machine.
  limit.set(Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem()));
  heapLimit.set(getHeapStatistics().heap_size_limit);
  metrics.onCollect(() => {
    const memory = readProcessMemory();
    resident.set(memory.rss);
    heapUsed.set(memory.heapUsed);
    heapTotal.set(memory.heapTotal);
    external.set(memory.external);
  });
}

/** The time between two samples of the clock, in milliseconds. Time beyond it is lag. */
const resolutionMs = 20;

function observeEventLoop(metrics: Metrics): () => void {
  const gauge = (name: string, help: string) => metrics.gauge({ name, help, perWorker: true }).of();
  const p50 = gauge('nodejs_eventloop_lag_p50_seconds', 'The median delay of the event loop.');
  const p99 = gauge(
    'nodejs_eventloop_lag_p99_seconds',
    'The 99th percentile of the delay of the event loop.',
  );
  const max = gauge('nodejs_eventloop_lag_max_seconds', 'The maximum delay of the event loop.');
  const busy = gauge(
    'nodejs_eventloop_utilization',
    'Share of the time in which the event loop was busy, 0 to 1.',
  );
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  const lag = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolutionMs) / 1000;
  let since = performance.now();
  let atStart: EventLoopUtilization = performance.eventLoopUtilization();
  let lastMax = 0;
  let complete = false;

  metrics.onCollect(() => {
    const now = performance.now();
    const measured = delays.count > 0;
    const ends = now - since >= windowMs;
    if (measured) max.set(Math.max(lastMax, lag(delays.max)));
    // The first window is reported while it is still open.
    if (measured && (ends || !complete)) {
      p50.set(lag(delays.percentile(50)));
      p99.set(lag(delays.percentile(99)));
    }
    if (ends || !complete) busy.set(performance.eventLoopUtilization(atStart).utilization);
    if (!ends) return;
    complete = true;
    lastMax = measured ? lag(delays.max) : 0;
    since = now;
    atStart = performance.eventLoopUtilization();
    delays.reset();
  });
  return () => void delays.disable();
}

/** The kinds of garbage collection, by their number in Node.js. */
const collections = new Map<number, string>([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weak_callbacks'],
]);

function observeGarbageCollection(metrics: Metrics): () => void {
  const duration = metrics.histogram({
    name: 'nodejs_gc_duration_seconds',
    help: 'Pauses for garbage collection by its kind.',
    labels: ['kind'],
    bounds: [0.001, 0.01, 0.1, 1, 5],
  });
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      duration.of(kindOf('detail' in entry ? entry.detail : undefined)).observe(entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  return () => observer.disconnect();
}

function kindOf(detail: unknown): string {
  const isKnown = typeof detail === 'object' && detail !== null && 'kind' in detail;
  return (isKnown && typeof detail.kind === 'number' && collections.get(detail.kind)) || 'other';
}
