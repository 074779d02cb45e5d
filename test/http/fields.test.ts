import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { text, timestamp } from '../../src/http/fields.ts';

describe('a text field', () => {
  const name = text({ min: 1, max: 3 });

  for (const value of ['a', 'abc', '🦉🦉🦉', 'é\n']) {
    it(`takes ${JSON.stringify(value)}`, () => assert.equal(name.parse(value), value));
  }

  for (const [value, message] of [
    ['', 'Use at least 1 character.'],
    ['abcd', 'Use at most 3 characters.'],
    ['🦉🦉🦉🦉', 'Use at most 3 characters.'],
    ['a\0b', 'Remove the characters that are not text: NUL, or half of a surrogate pair.'],
    ['\ud83e', 'Remove the characters that are not text: NUL, or half of a surrogate pair.'],
  ] as const) {
    it(`refuses ${JSON.stringify(value)} and says what to do`, () => {
      assert.equal(name.safeParse(value).error?.issues[0]?.message, message);
    });
  }
});

describe('a timestamp', () => {
  it('leaves as text in UTC, to the millisecond', () => {
    assert.equal(timestamp.parse(new Date(1_700_000_000_123)), '2023-11-14T22:13:20.123Z');
  });

  it('is a date-time in the document', () => {
    const { type, format } = z.toJSONSchema(timestamp, { io: 'output' });
    assert.deepEqual({ type, format }, { type: 'string', format: 'date-time' });
  });
});
