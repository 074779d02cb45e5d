import type { Metrics } from './metrics.ts';

export interface SaturationOptions {
  readonly metrics: Metrics;
  /** Returns the number of requests not answered yet. */
  readonly inFlight: () => number;
  /** Returns the size of the pool, its connections in use, and the queries that wait for one. */
  readonly pool: () => { readonly size: number; readonly inUse: number; readonly waiting: number };
  /** Returns the number of queries rejected so far, because too many waited for a connection, or for too long. */
  readonly refused: () => number;
}

/** Declares the saturation metrics: requests in progress, connections and waiting queries. They are summed over workers. */
export function observeSaturation({ metrics, inFlight, pool, refused }: SaturationOptions): void {
  const requests = metrics.gauge({
    name: 'http_requests_in_flight',
    help: 'Requests not answered yet; a scrape of the public port counts itself.',
  });
  const connections = metrics.gauge({
    name: 'database_pool_connections',
    help: 'Connections that the pool may open, by state: used or free.',
    labels: ['state'],
  });
  const waiting = metrics.gauge({
    name: 'database_pool_waiting',
    help: 'Queries and transactions that wait for a connection.',
  });
  const rejections = metrics.counter({
    name: 'database_pool_refused_total',
    help: 'Queries and transactions rejected because too many waited for a connection, or for too long.',
  });
  const rejectedSeries = rejections.of();
  let counted = 0;
  const [inProgress, used, free, queue] = [
    requests.of(),
    connections.of('used'),
    connections.of('free'),
    waiting.of(),
  ];
  metrics.onCollect(() => {
    const { size, inUse, waiting } = pool();
    inProgress.set(inFlight());
    used.set(inUse);
    free.set(size - inUse);
    queue.set(waiting);
    rejectedSeries.add(refused() - counted);
    counted = refused();
  });
}
