import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Incident, observeReading } from '../../src/alerts/incident.ts';
import { propertyRuns } from '../helpers/property-runs.ts';

const windowMs = 100;
const threshold = 10;

/** The readings of a table: a time, a value, and the change that follows. */
type Step = readonly [at: number, value: number, change: 'raised' | 'resolved' | 'none'];

const table: Readonly<Record<string, readonly Step[]>> = {
  'a value below the threshold raises nothing': [
    [0, 9, 'none'],
    [1000, 9.9, 'none'],
  ],
  'a value at the threshold raises an incident once': [
    [0, 10, 'raised'],
    [10, 11, 'none'],
    [1000, 10, 'none'],
  ],
  'an incident is resolved when the value was below the threshold for a whole window': [
    [0, 10, 'raised'],
    [10, 9, 'none'],
    [109, 0, 'none'],
    [110, 0, 'resolved'],
    [111, 0, 'none'],
  ],
  'a value that reaches the threshold again within the window keeps the incident open': [
    [0, 10, 'raised'],
    [10, 9, 'none'],
    [109, 10, 'none'],
    [110, 9, 'none'],
    [209, 9, 'none'],
    [210, 9, 'resolved'],
  ],
  'the first reading after a pause that is longer than the window resolves nothing': [
    [0, 10, 'raised'],
    [5000, 0, 'none'],
    [5099, 0, 'none'],
    [5100, 0, 'resolved'],
  ],
  'a clock that was set back does not resolve an incident early': [
    [1000, 10, 'raised'],
    [500, 0, 'none'],
    [1050, 0, 'none'],
    [1099, 0, 'none'],
    [1100, 0, 'resolved'],
  ],
  'a value that reaches the threshold after the resolution raises a new incident': [
    [0, 10, 'raised'],
    [10, 0, 'none'],
    [110, 0, 'resolved'],
    [120, 12, 'raised'],
  ],
};

describe('an incident', () => {
  for (const [name, steps] of Object.entries(table)) {
    it(name, () => {
      let incident: Incident | undefined;
      for (const [at, value, change] of steps) {
        const observed = observeReading(incident, { value, threshold, windowMs }, at, () => `at ${at}`);
        assert.equal(observed.change, change, `at ${at}`);
        incident = observed.incident;
      }
    });
  }

  it('an incident keeps its id, the time of its start, and its highest value', () => {
    const reading = (value: number) => ({ value, threshold, windowMs });
    const raised = observeReading(undefined, reading(12), 5, () => 'first').incident;
    const higher = observeReading(raised, reading(30), 6, () => 'second').incident;
    const lower = observeReading(higher, reading(3), 7, () => 'third').incident;
    assert.deepEqual(lower, { id: 'first', raisedAt: 5, belowSince: 7, peak: 30 });
  });

  it('an incident behaves as its model for any sequence of readings', () => {
    const reading = fc.record({
      after: fc.integer({ min: 0, max: 150 }),
      value: fc.integer({ min: 8, max: 11 }),
    });
    fc.assert(
      fc.property(fc.array(reading, { maxLength: 60 }), (readings) => {
        let incident: Incident | undefined;
        let now = 0;
        /** The model: all readings so far, from which each change follows without any other state. */
        const seen: { at: number; reached: boolean }[] = [];
        let isOpen = false;
        for (const { after, value } of readings) {
          now += after;
          const reached = value >= threshold;
          seen.push({ at: now, reached });
          const belowFrom = seen.slice(seen.findLastIndex((each) => each.reached) + 1)[0]?.at;
          const isOver = belowFrom !== undefined && now - belowFrom >= windowMs;
          let expected: string = 'none';
          if (!isOpen && reached) expected = 'raised';
          else if (isOpen && isOver) expected = 'resolved';
          const observed = observeReading(incident, { value, threshold, windowMs }, now, () => `at ${now}`);
          assert.equal(observed.change, expected);
          isOpen = observed.incident !== undefined;
          assert.equal(isOpen, expected === 'raised' || (incident !== undefined && expected !== 'resolved'));
          if (incident !== undefined && observed.incident !== undefined) {
            assert.equal(observed.incident.id, incident.id);
          }
          incident = observed.incident;
        }
      }),
      { numRuns: propertyRuns(2_000) },
    );
  });
});
