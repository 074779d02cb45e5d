import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { createSchemaSet } from '../../src/openapi/schemas.ts';

test('a format has its maximum length instead of the pattern of zod, except for an e-mail address, which keeps ours', () => {
  const schema = z.object({
    at: z.iso.datetime(),
    mail: z.string().max(100).regex(/^a@/).meta({ format: 'email' }),
    ref: z.uuid(),
  });
  assert.deepEqual(createSchemaSet().convert(schema, 'output', 'a test').properties, {
    at: { type: 'string', format: 'date-time', maxLength: 35 },
    mail: { type: 'string', format: 'email', maxLength: 100, pattern: '^a@' },
    ref: { type: 'string', format: 'uuid', maxLength: 36 },
  });
});

test('text without other constraints gets the pattern that forbids NUL, even if it is nullable', () => {
  const schema = z.object({
    a: z.string(),
    b: z.string().nullable(),
    c: z.string().regex(/^x$/),
    d: z.enum(['y']),
  });
  const { properties } = createSchemaSet().convert(schema, 'output', 'a test');
  assert.deepEqual(properties, {
    a: { type: 'string', pattern: '^[^\\u0000]*$' },
    b: { type: ['string', 'null'], pattern: '^[^\\u0000]*$' },
    c: { type: 'string', pattern: '^x$' },
    d: { type: 'string', enum: ['y'] },
  });
});

test('the keys of a record are described only if they have constraints', () => {
  const { convert } = createSchemaSet();
  assert.equal(convert(z.record(z.string(), z.boolean()), 'output', 'a test').propertyNames, undefined);
  const short = convert(z.record(z.string().max(9), z.boolean()), 'output', 'a test').propertyNames;
  assert.deepEqual(short, { type: 'string', maxLength: 9, pattern: '^[^\\u0000]*$' });
});

test('the format of an integer is int32 or int64, by its range', () => {
  const { convert } = createSchemaSet();
  assert.equal(
    convert(
      z
        .int()
        .min(-(2 ** 31))
        .max(2 ** 31 - 1),
      'output',
      'a test',
    ).format,
    'int32',
  );
  assert.equal(
    convert(
      z
        .int()
        .min(0)
        .max(2 ** 31),
      'output',
      'a test',
    ).format,
    'int64',
  );
  assert.equal(convert(z.number().min(0).max(1), 'output', 'a test').format, undefined);
});

test('an example becomes a list of one, as in JSON Schema', () => {
  const schema = createSchemaSet().convert(z.string().meta({ example: 'a' }), 'output', 'a test');
  assert.deepEqual(schema.examples, ['a']);
  assert.equal('example' in schema, false);
});

test('components are sorted by name, including those inside other components', () => {
  const inner = z.strictObject({ x: z.boolean() }).meta({ id: 'Inner' });
  const outer = z.strictObject({ inner }).meta({ id: 'Outer' });
  const set = createSchemaSet();
  set.convert(z.array(outer), 'output', 'a test');
  assert.deepEqual(Object.keys(set.components()), ['Inner', 'Outer']);
  assert.deepEqual(set.components().Outer?.properties, { inner: { $ref: '#/components/schemas/Inner' } });
});

test('the input and the output may share an id if both forms are equal', () => {
  const schema = z.strictObject({ x: z.boolean() }).meta({ id: 'Shared' });
  const set = createSchemaSet();
  assert.deepEqual(set.convert(schema, 'input', 'one'), set.convert(schema, 'output', 'other'));
});

test('an id that names two forms is an error that names the place of the second', () => {
  const schema = z.strictObject({ x: z.boolean().default(true) }).meta({ id: 'Torn' });
  const set = createSchemaSet();
  set.convert(schema, 'input', 'POST /things, body');
  assert.throws(
    () => set.convert(schema, 'output', 'POST /things, response 201'),
    /^StartError: The schema id "Torn" names two schemas, the second in POST \/things, response 201;/,
  );
});

test('an id that names two schemas inside of one is an error that names the place', () => {
  const named = () => z.strictObject({ x: z.boolean() }).meta({ id: 'Twin' });
  assert.throws(
    () => createSchemaSet().convert(z.object({ a: named(), b: named() }), 'output', 'GET /things, query'),
    /^StartError: The schema id "Twin" names two schemas, the second in GET \/things, query;/,
  );
});

test('a schema without a JSON form is an error that names the place and the field', () => {
  const length = z.string().transform((text) => text.length);
  const advice = 'has no JSON form: end a transformation with .pipe(), and use types that JSON has.';
  for (const [schema, place] of [
    [z.object({ any: z.unknown(), at: length }), 'GET /things, query, field "at",'],
    [
      z.object({ items: z.array(z.object({ at: length.optional() })) }),
      'GET /things, query, field "items[].at",',
    ],
    [z.object({ properties: z.bigint() }), 'GET /things, query, field "properties",'],
    [z.array(z.map(z.string(), z.string())), 'GET /things, query, field "[]",'],
    [length, 'GET /things, query'],
  ] as const) {
    assert.throws(() => createSchemaSet().convert(schema, 'output', 'GET /things, query'), {
      name: 'StartError',
      message: `The schema of ${place} ${advice}`,
    });
  }
});

test('a schema that contains itself needs an id', () => {
  const anonymous = z.strictObject({
    get children() {
      return z.array(anonymous);
    },
  });
  assert.throws(
    () => createSchemaSet().convert(anonymous, 'output', 'a test'),
    /contains itself; give it an id/,
  );
  const named = z
    .strictObject({
      get children() {
        return z.array(named);
      },
    })
    .meta({ id: 'Tree' });
  const set = createSchemaSet();
  assert.deepEqual(set.convert(named, 'output', 'a test'), { $ref: '#/components/schemas/Tree' });
  assert.deepEqual(set.components().Tree?.properties, {
    children: { type: 'array', items: { $ref: '#/components/schemas/Tree' } },
  });
});
