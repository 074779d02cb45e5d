import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decide } from '../../bench/guard-decision.ts';

const committed = fc.double({ min: 0.5, max: 5, noNaN: true });
const noise = fc.array(fc.double({ min: -0.04, max: 0.04, noNaN: true }), { minLength: 2, maxLength: 9 });

test('on a quiet machine a loss of up to 10 % is held, and one of 20 % is lost', () => {
  fc.assert(
    fc.property(committed, noise, (ratio, swings) => {
      const measured = (loss: number) => swings.map((swing) => ratio * (loss + swing));
      assert.equal(decide(measured(1.1), ratio), 'held');
      assert.equal(decide(measured(0.5), ratio), 'held');
      assert.equal(decide(measured(1.2), ratio), 'lost');
    }),
  );
});

test('rounds that differ too much to decide on which side of the limit they are count as uncertain', () => {
  assert.equal(decide([1, 1.1, 2, 3], 1), 'uncertain');
  assert.equal(decide([0.7, 1, 1.1, 1.6, 1.9], 1), 'uncertain');
});

test('a loss so large that three quarters of the rounds show it is lost on a restless machine too', () => {
  assert.equal(decide([1, 1.6, 2, 2.4, 3], 1), 'lost');
});

test('what three quarters of the rounds hold is held, however far below the limit they swing', () => {
  assert.equal(decide([0.5, 0.6, 0.9, 1.1, 2], 1), 'held');
});

test('where others took half of the processor, a loss is not proven, but a hold is', () => {
  assert.equal(decide([2, 2, 2], 1, [0.5, 0.5, 0.9]), 'uncertain');
  assert.equal(decide([2, 2, 2], 1, [0.9, 0.9, 0.5]), 'lost');
  assert.equal(decide([1, 1, 1], 1, [0.5, 0.5, 0.5]), 'held');
});

test('a single round proves nothing', () => {
  fc.assert(
    fc.property(committed, committed, (ratio, measured) => {
      assert.equal(decide([measured], ratio), 'uncertain');
    }),
  );
});

test('neither the order of the rounds nor one wild round decides', () => {
  assert.equal(decide([1, 1.02, 9, 1.01, 1], 1), 'held');
  fc.assert(
    fc.property(committed, fc.array(committed, { minLength: 2, maxLength: 9 }), (ratio, rounds) => {
      assert.equal(decide(rounds, ratio), decide(rounds.toReversed(), ratio));
    }),
  );
});

test('getting worse never turns a loss into a hold', () => {
  const rounds = fc.array(committed, { minLength: 2, maxLength: 9 });
  fc.assert(
    fc.property(committed, rounds, fc.double({ min: 1, max: 3, noNaN: true }), (ratio, measured, factor) => {
      if (decide(measured, ratio) !== 'lost') return;
      assert.notEqual(
        decide(
          measured.map((each) => each * factor),
          ratio,
        ),
        'held',
      );
    }),
  );
});
