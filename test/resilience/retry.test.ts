import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { backoffDelay, exponentialDelay } from '../../src/resilience/retry.ts';

describe('the delay before another attempt', () => {
  const backoff = { baseMs: 100, maxMs: 1000 };

  it('the exponential delay doubles with each attempt, up to its maximum', () => {
    const delays = [1, 2, 3, 4, 5, 2000].map((attempt) => exponentialDelay(attempt, backoff));
    assert.deepEqual(delays, [100, 200, 400, 800, 1000, 1000]);
  });

  it('the delay with jitter is at most the exponential delay', () => {
    const delays = [1, 2, 3, 4, 5, 2000].map((attempt) => backoffDelay(attempt, backoff, () => 1));
    assert.deepEqual(delays, [100, 200, 400, 800, 1000, 1000]);
  });

  it('the delay with jitter is between zero and the exponential delay', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, random) => {
          const delay = backoffDelay(attempt, backoff, () => random);
          assert.ok(Number.isInteger(delay) && delay >= 0 && delay <= exponentialDelay(attempt, backoff));
        },
      ),
    );
  });
});
