import type { CounterSeries, HistogramSeries, Metrics } from '../observability/metrics/metrics.ts';

/** The series that count the calls and loads of one cached function. */
export interface FunctionMetrics
  extends Record<
    | 'hit'
    | 'stale'
    | 'miss'
    | 'invalid'
    | 'unavailable'
    | 'joined'
    | 'awaited'
    | 'stored'
    | 'unstored'
    | 'failed',
    CounterSeries
  > {
  readonly duration: HistogramSeries;
}

export interface CallMetrics {
  /** Returns the series of the cached function with this name. */
  of(name: string): FunctionMetrics;
}

/** Declares the metrics of the cache. */
export function createCacheMetrics(metrics: Metrics) {
  const calls = metrics.counter({
    name: 'cache_calls_total',
    help: 'Calls of cached functions by result: hit, stale (a hit that is loaded again), miss, invalid (a value that does not fit), unavailable (the store failed), joined (a call in progress), and awaited (a miss that another process loaded).',
    labels: ['cache', 'result'],
  });
  const loads = metrics.counter({
    name: 'cache_loads_total',
    help: 'Loads of cached functions by outcome: stored, unstored (invalidated meanwhile, too large, or without a store), and failed.',
    labels: ['cache', 'outcome'],
  });
  const durations = metrics.histogram({
    name: 'cache_load_duration_seconds',
    help: 'Duration of the loads of cached functions.',
    labels: ['cache'],
    bounds: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10],
  });
  return {
    evictions: metrics.counter({
      name: 'cache_evictions_total',
      help: 'Values that were evicted from the memory of this process because there was no more room.',
    }),
    unanswered: metrics.counter({
      name: 'cache_unanswered_total',
      help: 'Loads that began without the primary, because it did not answer in time.',
    }),
    bytes: metrics.gauge({
      name: 'cache_bytes',
      help: 'Estimated bytes of the values in memory.',
    }),
    entries: metrics.gauge({ name: 'cache_entries', help: 'Values in memory.' }),
    up: metrics.gauge({
      name: 'cache_store_up',
      help: 'Whether Redis answers the cache (1), or every call is a miss (0).',
      perWorker: true,
    }),
    storeDuration: metrics.histogram({
      name: 'cache_store_duration_seconds',
      help: 'Duration of the calls of the cache to Redis.',
      bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
    }),
    calls: {
      of: (name: string): FunctionMetrics => ({
        hit: calls.of(name, 'hit'),
        stale: calls.of(name, 'stale'),
        miss: calls.of(name, 'miss'),
        invalid: calls.of(name, 'invalid'),
        unavailable: calls.of(name, 'unavailable'),
        joined: calls.of(name, 'joined'),
        awaited: calls.of(name, 'awaited'),
        stored: loads.of(name, 'stored'),
        unstored: loads.of(name, 'unstored'),
        failed: loads.of(name, 'failed'),
        duration: durations.of(name),
      }),
    } satisfies CallMetrics,
  };
}
