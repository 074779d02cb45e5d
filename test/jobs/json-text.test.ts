import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import fc from 'fast-check';
import { isTooDeep, maxJsonDepth, storableJson, storableText } from '../../src/jobs/json-text.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const { sql } = await mustOpenTestDatabase({ after });

/** Texts with the characters that matter more often than chance would have them. */
const text = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom('\0', '\\', '\\u0000', '\ud83d', '\ude00', '😀', 'u0000', '"', '\u0001', '\ufffd'),
  ),
});

it('whatever a text holds, PostgreSQL stores what is made of it, and what it could store is left as it is', async () => {
  await fc.assert(
    fc.asyncProperty(text, async (given) => {
      const expected = given.replaceAll('\0', '\ufffd').toWellFormed();
      const json = storableJson(JSON.stringify({ [`${given} key`]: [given] }));
      const [row] = await sql`select ${storableText(given)} as text, ${json}::text::jsonb as json`;
      assert.equal(row?.text, expected);
      assert.deepEqual(row?.json, { [`${expected} key`]: [expected] });
    }),
    { numRuns: 300 },
  );
});

it('is too deep with more than 64 arrays and objects within one another, whatever brackets its texts hold', () => {
  const depthOf = (value: unknown): number => {
    if (typeof value !== 'object' || value === null) return 0;
    return 1 + Math.max(0, ...Object.values(value).map(depthOf));
  };
  const leaf = fc.oneof(text, fc.string({ unit: fc.constantFrom('[', '{', ']', '"', '\\') }), fc.integer());
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value')), fc.dictionary(text, tie('value'))),
  }));
  fc.assert(
    fc.property(value, fc.integer({ min: maxJsonDepth - 4, max: maxJsonDepth + 1 }), (inner, around) => {
      const json = '['.repeat(around) + JSON.stringify(inner) + ']'.repeat(around);
      assert.equal(isTooDeep(json), around + depthOf(inner) > maxJsonDepth);
    }),
  );
});
