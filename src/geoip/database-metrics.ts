import type { Metrics } from '../observability/metrics/metrics.ts';

/** Declares the age of the database of countries. `builtAt` is called for each snapshot. */
export function observeCountryDatabase(metrics: Metrics, builtAt: () => Date): void {
  const built = metrics.gauge({
    name: 'geoip_database_build_timestamp_seconds',
    help: 'When the database of countries in use was built, as Unix time.',
    perWorker: true,
  });
  metrics.onCollect(() => built.of().set(builtAt().getTime() / 1000));
}
