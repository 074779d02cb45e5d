import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import {
  booleanParameter,
  idParameter,
  integerParameter,
  versionCondition,
} from '../../../src/http/parameters/parameters.ts';

describe('an id in a path or a query', () => {
  for (const [text, id] of [
    ['1', 1],
    ['007', 7],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ] as const) {
    it(`the id "${text}" is ${id}`, () => {
      assert.equal(idParameter.parse(text), id);
    });
  }

  const refused = [
    '',
    '0',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '1.0',
    '1e3',
    '0x10',
    'one',
    '٣',
    '9007199254740992',
    '9'.repeat(17),
  ];
  for (const text of refused) {
    it(`the id "${text}" is rejected with one sentence`, () => {
      const { success, error } = idParameter.safeParse(text);
      assert.equal(success, false);
      assert.deepEqual(
        error?.issues.map(({ message }) => message),
        ['Use a whole number, 1 or above, in digits only.'],
      );
    });
  }

  it('a repeated id is rejected', () => {
    assert.equal(idParameter.safeParse(['1', '2']).success, false);
  });

  it('an id is an integer of at least 1 in the document', () => {
    const { type, minimum, format } = z.toJSONSchema(idParameter, { io: 'output' });
    assert.deepEqual({ type, minimum, format }, { type: 'integer', minimum: 1, format: 'int64' });
  });
});

describe('a boolean in a query', () => {
  it('is true or false, in these words', () => {
    assert.equal(booleanParameter.parse('true'), true);
    assert.equal(booleanParameter.parse('false'), false);
  });

  for (const text of ['', '1', '0', 'yes', 'True', ' true', ['true', 'false']]) {
    it(`is refused with one sentence when it is ${JSON.stringify(text)}`, () => {
      const { error } = booleanParameter.safeParse(text);
      assert.equal(error?.issues.length, 1);
      if (typeof text === 'string') assert.equal(error.issues[0]?.message, 'Use true or false.');
    });
  }

  it('is a boolean in the document', () => {
    assert.equal(z.toJSONSchema(booleanParameter, { io: 'output' }).type, 'boolean');
  });
});

describe('an integer of a range', () => {
  it('an integer of a range accepts its limits and nothing beyond, and the error names the range', () => {
    const limit = integerParameter(1, 100);
    assert.equal(limit.parse('1'), 1);
    assert.equal(limit.parse('100'), 100);
    assert.equal(limit.safeParse('0').success, false);
    assert.equal(
      limit.safeParse('101').error?.issues[0]?.message,
      'Use a whole number from 1 to 100, in digits only.',
    );
  });
});

describe('a condition on a version', () => {
  const holds = (field: string | undefined) => versionCondition({ 'if-match': field }, 7)(3);

  for (const field of [undefined, '*', '"7.v3"', '"7.v1", "7.v3"', '"7.v3-gzip"']) {
    it(`holds for version 3 when If-Match is ${field}`, () => assert.equal(holds(field), true));
  }
  for (const field of ['"7.v2"', 'W/"7.v3"', '7.v3', '', '"7.v33"', '"8.v3"']) {
    it(`the condition If-Match: ${field || '(empty)'} does not hold for version 3`, () =>
      assert.equal(holds(field), false));
  }

  const holdsNot = (field: string) => !versionCondition({ 'if-none-match': field }, 7)(3);
  for (const field of ['*', '"7.v3"', 'W/"7.v3"', '"7.v1", "7.v3"']) {
    it(`the condition If-None-Match: ${field} does not hold for version 3`, () =>
      assert.equal(holdsNot(field), true));
  }
  for (const field of ['"7.v2"', '', '"8.v3"']) {
    it(`the condition If-None-Match: ${field || '(empty)'} holds for version 3`, () =>
      assert.equal(holdsNot(field), false));
  }
});
