import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { RecentMap } from '../../src/resilience/recent-map.ts';

const key = fc.constantFrom(...'abcdefghij');
const step = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), key, value: fc.nat() }),
  fc.record({ kind: fc.constant('get' as const), key }),
  fc.record({ kind: fc.constant('delete' as const), key }),
);

it('the map has the last value of the most recently used entries, and never more than twice as many', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), (max, steps) => {
      const map = new RecentMap<number>(max);
      /** The keys in use, the most recent last, with all values ever set. */
      const model = new Map<string, number>();
      const touch = (used: string, value: number) => {
        model.delete(used);
        model.set(used, value);
      };
      for (const each of steps) {
        if (each.kind === 'set') {
          map.set(each.key, each.value);
          touch(each.key, each.value);
        } else if (each.kind === 'delete') {
          map.delete(each.key);
          model.delete(each.key);
        } else {
          const rank = [...model.keys()].reverse().indexOf(each.key);
          const found = map.get(each.key);
          if (rank >= 0 && rank < max) assert.equal(found, model.get(each.key));
          if (found === undefined) model.delete(each.key);
          else {
            assert.equal(found, model.get(each.key));
            touch(each.key, found);
          }
        }
        assert.ok(map.size <= 2 * max);
      }
    }),
  );
});

it('a rotation drops the entries that were not used since the one before', () => {
  const map = new RecentMap<number>(10);
  map.set('a', 1);
  map.set('b', 2);
  map.rotate();
  assert.equal(map.get('a'), 1);
  map.rotate();
  assert.equal(map.get('b'), undefined);
  assert.equal(map.get('a'), 1);
});
