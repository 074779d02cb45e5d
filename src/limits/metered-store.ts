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

  function countOne({ name }: Limit, decision: Decision): Decision {
    let series = byName.get(name);
    if (series === undefined) {
      series = { allowed: counter.of(name, 'allowed'), refused: counter.of(name, 'refused') };
      byName.set(name, series);
    }
    (decision.allowed ? series.allowed : series.refused).add();
    return decision;
  }

  function countEach(limits: readonly Limit[], decisions: Decision[]): Decision[] {
    for (const decision of decisions) {
      const limit = limits.find(({ policies }) => policies.includes(decision.policy));
      if (limit !== undefined) countOne(limit, decision);
    }
    return decisions;
  }

  return {
    take(limit, key) {
      const decision = store.take(limit, key);
      if (decision instanceof Promise) return decision.then((decided) => countOne(limit, decided));
      return countOne(limit, decision);
    },
    takeEach(limits, key) {
      const decisions = store.takeEach(limits, key);
      if (decisions instanceof Promise) return decisions.then((decided) => countEach(limits, decided));
      return countEach(limits, decisions);
    },
  };
}
