import type { Metrics } from './metrics.ts';

export interface SaturationOptions {
  readonly metrics: Metrics;
  /** Requests that have not been answered yet. */
  readonly inFlight: () => number;
  /** The connections of the pool, those of them in use, and the queries that wait for one. */
  readonly pool: () => { readonly size: number; readonly inUse: number; readonly waiting: number };
  /** Queries that were refused so far because too many waited for a connection, or for too long. */
  readonly refused: () => number;
}

/** How full the process is: what is under way, and what waits. Read when somebody looks, added up over workers. */
export function observeSaturation({ metrics, inFlight, pool, refused }: SaturationOptions): void {
  const requests = metrics.gauge({
    name: 'http_requests_in_flight',
    help: 'Requests that are not answered yet; a scrape of the public port counts itself.',
  });
  const connections = metrics.gauge({
    name: 'database_pool_connections',
    help: 'Connections that the pool may open, by whether a query has them: used or free.',
    labels: ['state'],
  });
  const waiting = metrics.gauge({
    name: 'database_pool_waiting',
    help: 'Queries and transactions that wait for a connection.',
  });
  const refusals = metrics.counter({
    name: 'database_pool_refused_total',
    help: 'Queries and transactions that were refused because too many waited for a connection, or for too long.',
  });
  const refusedSeries = refusals.of();
  let counted = 0;
  const [underWay, used, free, queue] = [
    requests.of(),
    connections.of('used'),
    connections.of('free'),
    waiting.of(),
  ];
  metrics.onCollect(() => {
    const { size, inUse, waiting } = pool();
    underWay.set(inFlight());
    used.set(inUse);
    free.set(size - inUse);
    queue.set(waiting);
    refusedSeries.add(refused() - counted);
    counted = refused();
  });
}
