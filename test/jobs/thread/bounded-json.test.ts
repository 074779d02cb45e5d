import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { maxJsonDepth } from '../../../src/jobs/json-text.ts';
import { boundedJson } from '../../../src/jobs/thread/bounded-json.ts';

const limit = 1_000;

const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(null, undefined, () => 1, Symbol('odd'), new Date(0), new Date(Number.NaN)),
  fc.constantFrom(Object(1), Object('text'), Object(true), new Map([[1, 2]]), Buffer.from('ab'), /x/),
  fc.record({
    toJSON: fc.constantFrom(
      () => 'by toJSON',
      (name: string) => `as ${name}`,
      () => undefined,
    ),
  }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value')),
    fc.dictionary(fc.string({ unit: 'binary' }), tie('value'), { noNullPrototype: false }),
  ),
}));

describe('bounded JSON', () => {
  it('bounded JSON equals JSON.stringify if that fits, and is rejected for its size otherwise', () => {
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 300 }), (given, most) => {
        const expected = JSON.stringify(given);
        if (expected === undefined || Buffer.byteLength(expected) <= most) {
          assert.equal(boundedJson(given, most), expected);
        } else {
          assert.throws(() => boundedJson(given, most), { name: 'JsonLimitError', limit: 'size' });
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('bounded JSON accepts a nesting of 64 arrays and objects, and rejects 65', () => {
    const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    assert.equal(boundedJson(nested(maxJsonDepth), limit), '['.repeat(64) + ']'.repeat(64));
    for (const depth of [maxJsonDepth + 1, 5_000]) {
      assert.throws(() => boundedJson(nested(depth), limit), { name: 'JsonLimitError', limit: 'depth' });
    }
  });

  const circle: unknown[] = [];
  circle.push(circle);
  const refused: [what: string, value: unknown, error: object][] = [
    ['a circular reference', circle, { limit: 'depth' }],
    ['a BigInt', [1n], { name: 'TypeError' }],
    ['an array of the largest length', new Array(2 ** 32 - 1), { limit: 'size' }],
    ['a buffer of 100 MB', Buffer.alloc(100 * 2 ** 20), { limit: 'size' }],
    ['a string of 400 MB', 'x'.repeat(400 * 2 ** 20), { limit: 'size' }],
  ];
  for (const [what, given, error] of refused) {
    it(`bounded JSON rejects ${what} before it allocates memory for it`, () => {
      const before = process.memoryUsage().rss;
      assert.throws(() => boundedJson(given, limit), error);
      assert.ok(process.memoryUsage().rss - before < 20 * 2 ** 20);
    });
  }
});
