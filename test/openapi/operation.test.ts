import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { noContent } from '../../src/http/reply.ts';
import type { Route } from '../../src/http/route.ts';
import { describeOperation, type Operation, pathTemplate } from '../../src/openapi/operation.ts';
import { createSchemaSet } from '../../src/openapi/schemas.ts';

function describe(more: Partial<Route>): Operation {
  const handler = () => noContent();
  const responses = { 204: { description: 'Done.' } };
  const base = {
    method: 'POST',
    path: '/things',
    operationId: 'doIt',
    summary: 'Do it',
    tags: [],
    auth: 'none',
  } as const;
  return describeOperation({ ...base, responses, handler, ...more }, createSchemaSet());
}

const digits = z
  .string()
  .regex(/^\d{1,16}$/)
  .transform(Number)
  .pipe(z.int().min(1).max(100));

for (const [pattern, template] of [
  ['/', '/'],
  ['/things', '/things'],
  ['/things/:id', '/things/{id}'],
  ['/a/:b/c/:d', '/a/{b}/c/{d}'],
  ['/files/*path', '/files/{path}'],
] as const) {
  test(`the pattern ${pattern} becomes the template ${template}`, () => {
    assert.equal(pathTemplate(pattern), template);
  });
}

test('a path parameter has the type that the handler gets, and is required', () => {
  const params = z.object({ id: digits.meta({ description: 'The number.', example: 7 }) });
  assert.deepEqual(describe({ path: '/things/:id', params }).parameters, [
    {
      name: 'id',
      in: 'path',
      required: true,
      description: 'The number.',
      schema: { type: 'integer', format: 'int32', minimum: 1, maximum: 100 },
      example: 7,
    },
  ]);
});

test('a path parameter without a schema is non-empty text', () => {
  assert.deepEqual(describe({ path: '/files/*path' }).parameters, [
    { name: 'path', in: 'path', required: true, schema: { type: 'string', minLength: 1, maxLength: 8192 } },
  ]);
});

test('a declared path parameter that the path does not have is an error that names the route', () => {
  assert.throws(
    () => describe({ path: '/things/:id', params: z.object({ di: digits }) }),
    /^StartError: POST \/things\/:id has no "di" in its path, but its params declare it\.$/,
  );
});

test('a query parameter with a default is optional and shows its default', () => {
  const query = z.object({ limit: digits.default(20), after: digits, filter: digits.optional() });
  const parameters = describe({ query }).parameters ?? [];
  assert.deepEqual(
    parameters.map(({ name, required, schema }) => [name, required, schema.default]),
    [
      ['limit', false, 20],
      ['after', true, undefined],
      ['filter', false, undefined],
    ],
  );
});

test('a header is spelled as in its standard, and headers that OpenAPI describes elsewhere are left out', () => {
  const headers = z.object({
    'if-match': z.string().max(9).optional(),
    'x-request-id': z.string().max(9),
    'content-type': z.string().max(9),
  });
  const parameters = describe({ headers }).parameters ?? [];
  assert.deepEqual(
    parameters.map((each) => [each.in, each.name, each.required]),
    [
      ['header', 'If-Match', false],
      ['header', 'X-Request-ID', true],
    ],
  );
});

test('the maximum length of a text parameter is that of a request target, unless its schema has one', () => {
  const query = z.object({ any: z.string(), short: z.string().max(9), one: z.enum(['a', 'b']) });
  const lengths = (describe({ query }).parameters ?? []).map(({ schema }) => schema.maxLength);
  assert.deepEqual(lengths, [8192, 9, undefined]);
});

test('a deprecated parameter is marked as deprecated', () => {
  const query = z.object({ page: digits.optional().meta({ deprecated: true }) });
  assert.equal(describe({ query }).parameters?.[0]?.deprecated, true);
});

test('a query schema that is not an object schema of its own is an error that names the route', () => {
  const query = z.object({ page: digits }).meta({ id: 'Query' });
  assert.throws(
    () => describe({ query }),
    /^StartError: The schema of POST \/things, query must be an object schema/,
  );
});

test('a body is described for each media type that the route accepts, in its input form', () => {
  const body = z.strictObject({ name: z.string().max(9), count: z.int().min(0).max(9).default(0) });
  const accepts = ['application/json', 'application/merge-patch+json'];
  const { requestBody } = describe({ body, accepts, example: { name: 'x' } });
  assert.deepEqual(Object.keys(requestBody?.content ?? {}), accepts);
  const { schema, example } = requestBody?.content['application/merge-patch+json'] ?? {};
  assert.deepEqual(schema?.required, ['name']);
  assert.deepEqual(example, { name: 'x' });
  assert.equal(requestBody?.required, true);
});

test('a body that the schema allows to be missing is not required', () => {
  const body = z.strictObject({ name: z.string().max(9) }).optional();
  assert.equal(describe({ body }).requestBody?.required, false);
});

test('a route without a body has no requestBody', () => {
  assert.equal(describe({}).requestBody, undefined);
});

test('an idempotent route accepts an Idempotency-Key', () => {
  const [key] = describe({ idempotent: true }).parameters ?? [];
  assert.deepEqual([key?.in, key?.name, key?.required], ['header', 'Idempotency-Key', false]);
  assert.equal(describe({}).parameters, undefined);
});

test('the description of an operation has the required roles, and the scopes that an API key needs', () => {
  const facts = { auth: 'user', description: 'Reads all.', roles: ['admin'] } as const;
  assert.equal(describe(facts).description, 'Reads all. Only for the role `admin`.');
  assert.equal(
    describe({ auth: 'any', scopes: ['users:read', 'tasks:write'] }).description,
    'Do it. An API key needs the scope `users:read` and `tasks:write`.',
  );
});
