import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Options, parseOptions, usage } from '../../bench/options.ts';
import { scenarioNames } from '../../bench/scenarios.ts';
import { variants } from '../../bench/variants.ts';
import { StartError } from '../../src/errors.ts';

test('without options all variants are asked for a person, and some for a row and with a token too', () => {
  const options = parseOptions([]);
  assert.deepEqual([options.command, options.rounds, options.seconds], ['measure', 5, 5]);
  assert.deepEqual(cellsOf(options), [
    ...variants.map(({ name }) => `${name} person`),
    ...['strata bearer', 'fastify bearer', 'strata row', 'fastify row', 'fastapi row'],
  ]);
});

test('--quick reduces everything, and explicit options override it', () => {
  assert.deepEqual([parseOptions(['--quick']).rounds, parseOptions(['--quick']).seconds], [3, 2]);
  assert.equal(parseOptions(['--quick', '--rounds', '9']).rounds, 9);
});

test('--only takes variants by name, in the order of the list', () => {
  const cells = cellsOf(parseOptions(['--only', 'fastify,bare']));
  assert.deepEqual(cells, ['bare person', 'fastify person', 'fastify bearer', 'fastify row']);
});

test('--scenarios measures exactly the named scenarios, with each variant that supports them', () => {
  const named = parseOptions(['--only', 'bare,strata-routing,strata', '--scenarios', 'refused,plain']);
  assert.deepEqual(cellsOf(named), ['bare plain', 'strata plain', 'strata-routing plain', 'strata refused']);
  const all = cellsOf(parseOptions(['--only', 'strata', '--scenarios', 'all']));
  assert.deepEqual(
    all,
    scenarioNames.map((name) => `strata ${name}`),
  );
});

test('verify checks everything unless options name a part', () => {
  const options = parseOptions(['verify']);
  assert.equal(options.command, 'verify');
  assert.deepEqual(cellsOf(options), cellsOf(parseOptions(['--scenarios', 'all'])));
  assert.deepEqual(cellsOf(parseOptions(['verify', '--only', 'bare', '--scenarios', 'plain'])), [
    'bare plain',
  ]);
});

test('the usage names every variant, scenario and command', () => {
  const words = [...variants.map(({ name }) => name), ...scenarioNames];
  for (const word of [...words, 'verify', 'report', 'guard', 'layers', 'micro', 'jobs']) {
    assert.ok(usage.includes(word), word);
  }
});

for (const [args, complaint] of [
  [['--only', 'bare,express9'], /no variant "express9"/],
  [['--scenarios', 'person,tables'], /no scenario "tables"/],
  [['--only', 'bare', '--scenarios', 'refused'], /None of the variants can be asked "refused"/],
  [['--rounds', '0'], /--rounds needs a whole number from 1 to 100, not "0"/],
  [['--duration', '2.5'], /--duration needs a whole number from 1 to 60, not "2.5"/],
  [['--duration', ''], /--duration needs/],
  [['--rate', 'fast'], /--rate needs a whole number from 1 to 10000, not "fast"/],
  [['--update'], /--update belongs to guard/],
  [['--fast'], /--fast/],
  [['verfy'], /"verfy" is no command/],
  [['verify', 'bare'], /"verify bare" is no command/],
] as const) {
  test(`${args.join(' ')} is refused with a sentence and the usage`, () => {
    assert.throws(
      () => parseOptions(args),
      (error) => error instanceof StartError && complaint.test(error.message) && /Usage:/.test(error.message),
    );
  });
}

function cellsOf({ cells }: Options): string[] {
  return cells.map(({ variant, scenario }) => `${variant.name} ${scenario.name}`);
}
