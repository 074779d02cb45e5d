import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions } from '../../bench/options.ts';
import { variants } from '../../bench/variants.ts';
import { StartError } from '../../src/errors.ts';

test('without options everything is measured, in five rounds of five seconds', () => {
  const options = parseOptions([]);
  assert.deepEqual([options.command, options.rounds, options.seconds], ['measure', 5, 5]);
  assert.deepEqual(options.variants, variants);
});

test('--quick takes less of everything, and what is said beside it wins', () => {
  assert.deepEqual([parseOptions(['--quick']).rounds, parseOptions(['--quick']).seconds], [3, 2]);
  assert.equal(parseOptions(['--quick', '--rounds', '9']).rounds, 9);
  assert.equal(parseOptions(['verify']).command, 'verify');
});

test('--only takes variants by name, in the order of the list', () => {
  const names = parseOptions(['--only', 'strata,bare']).variants.map(({ name }) => name);
  assert.deepEqual(names, ['bare', 'strata']);
});

for (const [args, complaint] of [
  [['--only', 'bare,express9'], /no variant "express9"/],
  [['--rounds', '0'], /--rounds takes a whole number from 1 to 100, not "0"/],
  [['--duration', '2.5'], /--duration takes a whole number from 1 to 60, not "2.5"/],
  [['--duration', ''], /--duration takes/],
  [['--fast'], /--fast/],
  [['verfy'], /"verfy" is no command/],
] as const) {
  test(`${args.join(' ')} is refused with a sentence and the usage`, () => {
    assert.throws(
      () => parseOptions(args),
      (error) => error instanceof StartError && complaint.test(error.message),
    );
  });
}
