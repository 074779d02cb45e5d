import type { Metrics } from '../observability/metrics/metrics.ts';
import { type AlertRuleName, alertRuleNames } from './rules.ts';

export interface AlertMetrics {
  /** Records whether an incident of the rule is open. */
  firing(rule: AlertRuleName, isFiring: boolean): void;
  /** Counts a new incident that this node reports. */
  raised(rule: AlertRuleName): void;
}

/** Declares the metrics. Call it once for each registry. All series start at 0, so that the first incident is an increase. */
export function createAlertMetrics(metrics: Metrics): AlertMetrics {
  const firing = metrics.gauge({
    name: 'alerts_firing',
    help: 'Whether an incident of the rule is open: 0 or 1. Each node reports the incidents of all nodes: use the maximum.',
    labels: ['rule'],
  });
  const raised = metrics.counter({
    name: 'alerts_raised_total',
    help: 'Incidents that this node has reported, by rule.',
    labels: ['rule'],
  });
  for (const rule of alertRuleNames) {
    firing.of(rule);
    raised.of(rule);
  }
  return {
    firing: (rule, isFiring) => firing.of(rule).set(isFiring ? 1 : 0),
    raised: (rule) => raised.of(rule).add(),
  };
}
