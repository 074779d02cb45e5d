import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RetryBudget } from '../../src/resilience/retry-budget.ts';

it('a retry budget allows its maximum at first, and then a part of the calls', () => {
  const budget = new RetryBudget({ ratio: 0.25, max: 2 });
  const retries = () => [budget.takeRetry(), budget.takeRetry(), budget.takeRetry()];
  assert.deepEqual(retries(), [true, true, false]);
  for (let call = 0; call < 4; call += 1) budget.addCall();
  assert.deepEqual(retries(), [true, false, false]);
  for (let call = 0; call < 100; call += 1) budget.addCall();
  assert.deepEqual(retries(), [true, true, false]);
});
