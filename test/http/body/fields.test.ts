import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import { patchOf, shownAs, text, timestamp } from '../../../src/http/body/fields.ts';

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
    it(`a text field rejects ${JSON.stringify(value)} with advice`, () => {
      assert.equal(name.safeParse(value).error?.issues[0]?.message, message);
    });
  }
});

it('a text is shown in responses with its description and length, and without its checks', () => {
  const name = text({ min: 1, max: 3 }).regex(/^a/).meta({ description: 'A name.', example: 'abc' });
  const shown = shownAs(name);
  assert.equal(shown.parse('longer than it may be'), 'longer than it may be');
  const { type, description, example, maxLength, minLength, pattern } = z.toJSONSchema(shown);
  assert.deepEqual(
    { type, description, example, maxLength, minLength, pattern },
    {
      ...{ type: 'string', description: 'A name.', example: 'abc', maxLength: 3 },
      ...{ minLength: undefined, pattern: undefined },
    },
  );
});

describe('a timestamp', () => {
  it('a timestamp is serialised in UTC with milliseconds', () => {
    assert.equal(timestamp.parse(new Date(1_700_000_000_123)), '2023-11-14T22:13:20.123Z');
  });

  it('a timestamp is a date-time in the document', () => {
    const { type, format } = z.toJSONSchema(timestamp, { io: 'output' });
    assert.deepEqual({ type, format }, { type: 'string', format: 'date-time' });
  });
});

describe('a patch', () => {
  const patch = patchOf({ title: text({ min: 1, max: 10 }), count: z.int() });

  it('a patch accepts any of the fields', () => {
    assert.deepEqual(patch.parse({ title: 'a' }), { title: 'a' });
    assert.deepEqual(patch.parse({ title: 'a', count: 1 }), { title: 'a', count: 1 });
  });

  it('a patch rejects an empty body, and for an unknown field reports only that field', () => {
    const complaints = (value: unknown) => patch.safeParse(value).error?.issues.map(({ code }) => code);
    assert.deepEqual(complaints({}), ['custom']);
    assert.deepEqual(complaints({ other: 1 }), ['unrecognized_keys']);
    assert.deepEqual(complaints({ title: null }), ['invalid_type']);
  });

  it('a patch does not count a field that changes nothing itself', () => {
    const guarded = patchOf({ title: text({ min: 1, max: 10 }), password: z.string() }, ['password']);
    assert.equal(guarded.safeParse({ password: 'secret' }).error?.issues[0]?.code, 'custom');
    assert.deepEqual(guarded.parse({ title: 'a', password: 'secret' }), { title: 'a', password: 'secret' });
  });

  it('a patch has at least one property in the document', () => {
    const { minProperties, required } = z.toJSONSchema(patch, { io: 'input' });
    assert.deepEqual({ minProperties, required }, { minProperties: 1, required: undefined });
  });
});
