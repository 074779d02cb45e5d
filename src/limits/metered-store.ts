import type { CounterSeries, Metrics } from '../observability/metrics/metrics.ts';
import type { Decision, Limit, LimitStore } from './limit-store.ts';

/** Wraps a store and counts its decisions by the name of the limit. */
export function createMeteredLimitStore(store: LimitStore, metrics: Metrics): LimitStore {
  const counter = metrics.counter({
    name: 'rate_limit_decisions_total',
    help: 'Decisions on permits by limit and outcome: allowed or refused.',
    labels: ['limit', 'outcome'],
  });
  const byName = new Map<string, { readonly allowed: CounterSeries; readonly refused: CounterSeries }>();

  function count({ name }: Limit, { allowed }: Decision): void {
    let series = byName.get(name);
    if (series === undefined) {
      series = { allowed: counter.of(name, 'allowed'), refused: counter.of(name, 'refused') };
      byName.set(name, series);
    }
    (allowed ? series.allowed : series.refused).add();
  }

  return {
    take(limit, key) {
      const decision = store.take(limit, key);
      if (!(decision instanceof Promise)) {
        count(limit, decision);
        return decision;
      }
      return decision.then((decided) => {
        count(limit, decided);
        return decided;
      });
    },
  };
}
