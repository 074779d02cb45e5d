import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { doubt, summarise, summariseRatio } from '../../bench/statistics.ts';

test('the summary of several rounds is their median, with the range of the middle half as a share of it', () => {
  assert.deepEqual(summarise([50, 10, 30, 20, 40]), { median: 30, spread: 20 / 30 });
  assert.deepEqual(summarise([10, 20]), { median: 15, spread: 5 / 15 });
});

test('one wild round moves neither the median nor the spread', () => {
  assert.deepEqual(summarise([10, 10, 10, 10, 900]), { median: 10, spread: 0 });
});

test('the order of the rounds does not matter', () => {
  const rounds = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(rounds, (values) => assert.deepEqual(summarise(values), summarise(values.toReversed()))),
  );
});

test('a ratio is made round by round, so that a slow machine cancels out', () => {
  assert.deepEqual(summariseRatio([20, 40, 200], [10, 20, 100]), { median: 2, spread: 0 });
});

test('a spread above 20 % and a single round are reasons for doubt, and are named', () => {
  assert.equal(doubt({ median: 1, spread: 0.2 }), undefined);
  assert.equal(doubt({ median: 1, spread: 0.27 }), 'spread 27 %');
  assert.equal(doubt(summarise([5])), 'one round');
});
