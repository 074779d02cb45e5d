import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import fc from 'fast-check';
import { storableJson, storableText } from '../../src/jobs/json-text.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const { sql } = await mustOpenTestDatabase({ after });

/** Strings in which the relevant characters are frequent. */
const text = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom('\0', '\\', '\\u0000', '\ud83d', '\ude00', '😀', 'u0000', '"', '\u0001', '\ufffd'),
  ),
});

it('PostgreSQL stores the converted form of any string, and strings that it can store are unchanged', async () => {
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
