import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { backoffDelay } from '../../src/resilience/retry.ts';

describe('the delay before another attempt', () => {
  const backoff = { baseMs: 100, maxMs: 1000 };

  it('has a ceiling that doubles with each attempt, up to the greatest', () => {
    const ceilings = [1, 2, 3, 4, 5, 2000].map((attempt) => backoffDelay(attempt, backoff, () => 1));
    assert.deepEqual(ceilings, [100, 200, 400, 800, 1000, 1000]);
  });

  it('is drawn from nothing to the ceiling', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, random) => {
          const delay = backoffDelay(attempt, backoff, () => random);
          assert.ok(Number.isInteger(delay) && delay >= 0 && delay <= 1000);
        },
      ),
    );
  });
});
