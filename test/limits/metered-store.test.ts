import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LimitStore } from '../../src/limits/limit-store.ts';
import { createMemoryLimitStore } from '../../src/limits/memory-store.ts';
import { createMeteredLimitStore } from '../../src/limits/metered-store.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { conformsToLimitStore } from '../conformance/limit-store.ts';
import { asynchronous } from '../helpers/limit-stores.ts';
import { metricValue } from '../helpers/metric-value.ts';

const memory = (now = () => 0) => createMemoryLimitStore({ maxClients: 1000, now });
const limitOf = (name: string) => ({ name, policies: [{ name: 'minute', quota: 2, windowMs: 60_000 }] });

describe('the metered store', () => {
  conformsToLimitStore(({ clock }) =>
    createMeteredLimitStore(
      memory(() => clock.now),
      createMetrics(),
    ),
  );

  for (const [when, storeOf] of [
    ['at once', memory],
    [
      'later',
      (): LimitStore => {
        const store = memory();
        return asynchronous(store);
      },
    ],
  ] as const) {
    it(`decisions made ${when} are counted by limit and outcome`, async () => {
      const metrics = createMetrics();
      const store = createMeteredLimitStore(storeOf(), metrics);
      for (const name of ['address', 'address', 'address', 'user']) await store.take(limitOf(name), 'a');
      const count = (limit: string, outcome: string) =>
        metricValue(metrics.snapshot(), 'rate_limit_decisions_total', { limit, outcome }).count;
      assert.deepEqual(
        [count('address', 'allowed'), count('address', 'refused'), count('user', 'allowed')],
        [2, 1, 1],
      );
    });
  }
});
