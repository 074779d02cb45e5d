import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { WindowCount } from '../../src/alerts/window-count.ts';
import { propertyRuns } from '../helpers/property-runs.ts';

it('the count is the increase of the counter since the newest sample before the window', () => {
  const count = new WindowCount(100, 0);
  assert.deepEqual(
    [
      [10, 5],
      [60, 8],
      [110, 8],
      [161, 9],
      [500, 9],
    ].map(([at = 0, total = 0]) => count.add(at, total)),
    // At 110 the base is the sample at 10, at 161 that at 60, and at 500 that at 161.
    [5, 8, 3, 1, 0],
  );
});

it('a counter that starts again at 0 counts from there', () => {
  const count = new WindowCount(100, 0);
  count.add(10, 50);
  assert.equal(count.add(20, 3), 53);
  assert.equal(count.add(30, 4), 54);
});

it('the count includes every event of the window, and none that is older than the window and one evaluation', () => {
  const step = fc.record({ after: fc.integer({ min: 1, max: 60 }), events: fc.integer({ min: 0, max: 5 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const windowMs = 100;
      const count = new WindowCount(windowMs, 0);
      const events: { from: number; to: number; count: number }[] = [];
      let now = 0;
      let total = 0;
      for (const { after, events: added } of steps) {
        const from = now;
        now += after;
        total += added;
        // They occurred at some time after the last evaluation.
        events.push({ from, to: now, count: added });
        const found = count.add(now, total);
        const sum = (isIn: (event: { from: number; to: number }) => boolean) =>
          events.filter(isIn).reduce((all, each) => all + each.count, 0);
        assert.ok(found >= sum(({ from: start }) => start >= now - windowMs));
        assert.ok(found <= sum(({ to }) => to > now - windowMs));
      }
    }),
    { numRuns: propertyRuns(2_000) },
  );
});
