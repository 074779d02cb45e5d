import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import type { FieldError } from '../../src/errors.ts';
import { jsonPointer } from '../../src/errors.ts';
import { maxFieldErrors, validatePart, validationFailed } from '../../src/http/validate.ts';

function errorsOf(schema: z.ZodType, value: unknown, part: FieldError['in'] = 'body'): FieldError[] {
  const result = validatePart({ part, schema, value });
  return result.ok ? assert.fail('The value was taken.') : result.errors;
}

describe('a part of a request', () => {
  it('a valid part is the output of its schema', () => {
    const schema = z.object({ n: z.string().transform(Number) });
    assert.deepEqual(validatePart({ part: 'query', schema, value: { n: '1', more: 2 } }), {
      ok: true,
      value: { n: 1 },
    });
  });

  it('every error is reported with its place', () => {
    const schema = z.strictObject({
      name: z.string().min(2, 'Use two characters or more.'),
      age: z.number(),
      tags: z.array(z.strictObject({ 'a/b': z.string() })),
    });
    assert.deepEqual(
      errorsOf(schema, { name: 'x', tags: [{ 'a/b': 'y' }, { 'a/b': 3 }], 'ro~le': 'admin', age: null }),
      [
        { in: 'body', pointer: '/name', detail: 'Use two characters or more.' },
        { in: 'body', pointer: '/age', detail: 'Invalid input: expected number, received null' },
        { in: 'body', pointer: '/tags/1/a~1b', detail: 'Invalid input: expected string, received number' },
        { in: 'body', pointer: '/ro~0le', detail: 'There is no such field; leave it out.' },
      ],
    );
  });

  it('a missing field and a wrong type have different sentences', () => {
    const schema = z.object({ a: z.string() });
    assert.deepEqual(errorsOf(schema, {}, 'query'), [
      { in: 'query', pointer: '/a', detail: 'This field is required.' },
    ]);
    assert.match(errorsOf(schema, { a: 1 })[0]?.detail ?? '', /expected string, received number/);
  });

  it('a missing body is reported as required', () => {
    const [error] = errorsOf(z.object({ a: z.string() }), undefined);
    assert.deepEqual(error, { in: 'body', pointer: '', detail: 'This route needs a body.' });
  });

  it('a body that is not an object has the error at its root', () => {
    for (const value of [null, [], 'x', 1]) assert.equal(errorsOf(z.object({}), value)[0]?.pointer, '');
  });

  it(`a part with very many errors reports the first ${maxFieldErrors}`, () => {
    assert.equal(errorsOf(z.array(z.number()), new Array(100_000).fill('x')).length, maxFieldErrors);
    const unknown = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, 1]));
    assert.equal(errorsOf(z.strictObject({}), unknown).length, maxFieldErrors);
    const items = Array.from({ length: 40 }, () => unknown);
    assert.equal(errorsOf(z.array(z.strictObject({})), items).length, maxFieldErrors);
  });
});

describe('the error for invalid values', () => {
  const error: FieldError = { in: 'body', pointer: '/a', detail: 'Wrong.' };

  it('the error states the number of invalid values and lists each', () => {
    assert.match(validationFailed([error]).message, /^One value is invalid/);
    assert.match(validationFailed([error, error]).message, /^2 values are invalid/);
    assert.deepEqual(validationFailed([error]).errors, [error]);
    assert.equal(validationFailed([error]).code, 'validation_failed');
  });

  it('the error for very many values is short, and states that there may be more', () => {
    const rejection = validationFailed(new Array(200).fill(error));
    assert.match(rejection.message, /^At least 50 values are invalid/);
    assert.equal(rejection.errors?.length, maxFieldErrors);
  });
});

it('a path of keys becomes a JSON Pointer', () => {
  assert.equal(jsonPointer([]), '');
  assert.equal(jsonPointer(['a', 0, 'b/c', 'd~e', '']), '/a/0/b~1c/d~0e/');
});
