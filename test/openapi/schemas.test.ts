import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { createSchemaSet } from '../../src/openapi/schemas.ts';

test('a format stands without the pattern that zod checks it by, and with the longest length it can have; an e-mail address has ours', () => {
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

test('text that says nothing more is text without NUL, also where it may be null', () => {
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

test('the keys of a record are described only where there is more to say than that they are text', () => {
  const { convert } = createSchemaSet();
  assert.equal(convert(z.record(z.string(), z.boolean()), 'output', 'a test').propertyNames, undefined);
  const short = convert(z.record(z.string().max(9), z.boolean()), 'output', 'a test').propertyNames;
  assert.deepEqual(short, { type: 'string', maxLength: 9, pattern: '^[^\\u0000]*$' });
});

test('an integer says whether it fits in 32 bits', () => {
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

test('one example becomes a list of one, as JSON Schema has it', () => {
  const schema = createSchemaSet().convert(z.string().meta({ example: 'a' }), 'output', 'a test');
  assert.deepEqual(schema.examples, ['a']);
  assert.equal('example' in schema, false);
});

test('components come sorted by name, those inside of components too', () => {
  const inner = z.strictObject({ x: z.boolean() }).meta({ id: 'Inner' });
  const outer = z.strictObject({ inner }).meta({ id: 'Outer' });
  const set = createSchemaSet();
  set.convert(z.array(outer), 'output', 'a test');
  assert.deepEqual(Object.keys(set.components()), ['Inner', 'Outer']);
  assert.deepEqual(set.components().Outer?.properties, { inner: { $ref: '#/components/schemas/Inner' } });
});

test('an id is shared by what comes in and what goes out while both have one form', () => {
  const schema = z.strictObject({ x: z.boolean() }).meta({ id: 'Shared' });
  const set = createSchemaSet();
  assert.deepEqual(set.convert(schema, 'input', 'one'), set.convert(schema, 'output', 'other'));
});

test('an id that stands for two forms is refused, naming the place of the second', () => {
  const schema = z.strictObject({ x: z.boolean().default(true) }).meta({ id: 'Torn' });
  const set = createSchemaSet();
  set.convert(schema, 'input', 'POST /things, body');
  assert.throws(
    () => set.convert(schema, 'output', 'POST /things, response 201'),
    /^Error: The schema id "Torn" stands for two schemas, the second in POST \/things, response 201;/,
  );
});

test('a transformation without a schema for its result is refused, naming the place', () => {
  const schema = z.object({ at: z.string().transform((text) => text.length) });
  assert.throws(() => createSchemaSet().convert(schema, 'output', 'GET /things, query'), {
    message:
      'The schema of GET /things, query cannot be written as JSON Schema; end a transformation with .pipe().',
  });
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
