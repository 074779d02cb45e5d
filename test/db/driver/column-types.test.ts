import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { columnTypes, parseArray } from '../../../src/db/driver/column-types.ts';
import { mustConnect, testServerUrl } from '../../helpers/test-database.ts';

describe('arrays of PostgreSQL', () => {
  it('arrays are parsed with their quotes, escapes and nulls', () => {
    assert.deepEqual(parseArray('{}'), []);
    assert.deepEqual(parseArray('{a,"b,c",NULL,"NULL","","q\\"\\\\"}'), [
      'a',
      'b,c',
      null,
      'NULL',
      '',
      'q"\\',
    ]);
  });

  it('arrays are read from PostgreSQL as they were written', async (t) => {
    const { sql } = mustConnect(t, { url: testServerUrl() });
    const text = fc.oneof(
      fc.string({ unit: 'grapheme' }).filter((each) => !each.includes('\0')),
      fc.string({ unit: fc.constantFrom('"', '\\', ',', '{', '}', ' ', '\n', 'N', 'U', 'L') }),
      fc.constant(null),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(text), fc.array(fc.maxSafeInteger()), async (texts, numbers) => {
        const [row] = await sql`select ${texts}::text[] as texts, ${numbers}::int8[] as numbers`;
        assert.deepEqual({ ...row }, { texts, numbers });
      }),
      { numRuns: 100 },
    );
  });

  it('arrays may contain dates, booleans and UUIDs', async (t) => {
    const { sql } = mustConnect(t, { url: testServerUrl() });
    const dates = [new Date(0), new Date('2024-02-29T12:00:00.001Z')];
    const uuid = '0b3e6f1c-8a5b-4c89-9f0e-0d4a2b1c3d4e';
    const [row] = await sql`
      select ${sql.array(dates, columnTypes.timestamptzArray.to)}::timestamptz[] as dates,
        ${sql.array([1, 2])}::int4[] as numbers, array[true, false] as flags, array[${uuid}::uuid] as uuids`;
    assert.deepEqual({ ...row }, { dates, numbers: [1, 2], flags: [true, false], uuids: [uuid] });
  });
});
