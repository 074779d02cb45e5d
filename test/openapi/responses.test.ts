import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { noContent } from '../../src/http/reply.ts';
import type { Route } from '../../src/http/route.ts';
import { type ApiResponse, describeCommonResponses, describeResponses } from '../../src/openapi/responses.ts';
import { createSchemaSet } from '../../src/openapi/schemas.ts';

/** The responses of a route, and under which statuses it refers to a component. */
function describeAll(more: Partial<Route>) {
  const handler = () => noContent();
  const responses = { 204: { description: 'Done.' } };
  const base = {
    method: 'GET',
    path: '/things',
    operationId: 'x',
    summary: 'X',
    tags: [],
    auth: 'none',
  } as const;
  return describeResponses({ ...base, responses, handler, ...more }, 'GET /things', createSchemaSet());
}

/** The responses that are described at the route itself. */
function describe(more: Partial<Route>): Record<string, ApiResponse> {
  const own: Record<string, ApiResponse> = {};
  for (const [status, response] of Object.entries(describeAll(more))) {
    if (!('$ref' in response)) own[status] = response;
  }
  return own;
}

const some = z.object({ some: z.string().max(9) });

for (const [what, more, statuses] of [
  ['nothing else', {}, ['204', '400', '401', '412', '429', '500', '503']],
  ['an exemption from the rate limit', { limit: 'exempt' }, ['204', '400', '412', '500', '503']],
  ['params', { params: some }, ['204', '400', '401', '404', '412', '422', '429', '500', '503']],
  ['a query', { query: some }, ['204', '400', '401', '412', '422', '429', '500', '503']],
  ['headers', { headers: some }, ['204', '400', '401', '412', '422', '429', '500', '503']],
  ['a body', { body: some }, ['204', '400', '401', '408', '412', '413', '415', '422', '429', '500', '503']],
  ['a credential of its own', { auth: 'own' }, ['204', '400', '412', '429', '500', '503']],
  ['that it is for users', { auth: 'user' }, ['204', '400', '401', '403', '412', '429', '500', '503']],
  ['that it is for programs', { auth: 'apiKey' }, ['204', '400', '401', '403', '412', '429', '500', '503']],
  ['that it is for either', { auth: 'any' }, ['204', '400', '401', '412', '429', '500', '503']],
  [
    'a scope',
    { auth: 'any', scopes: ['users:read'] },
    ['204', '400', '401', '403', '412', '429', '500', '503'],
  ],
  ['a role', { auth: 'any', roles: ['admin'] }, ['204', '400', '401', '403', '412', '429', '500', '503']],
  [
    'that it is done once',
    { idempotent: true },
    ['204', '400', '401', '409', '412', '422', '429', '500', '503'],
  ],
  ['a conflict', { problems: ['conflict'] }, ['204', '400', '401', '409', '412', '429', '500', '503']],
] as const) {
  test(`a route that declares ${what} can respond with ${statuses.join(', ')}`, () => {
    assert.deepEqual(Object.keys(describe(more)), statuses);
  });
}

test('every route refers to the shared responses for errors of the message as a whole', () => {
  const components = describeCommonResponses(createSchemaSet());
  for (const [more, expected] of [
    [{}, ['308', '403', '414', '417', '421', '431', '501']],
    [{ body: some, idempotent: true }, ['308', '403', '414', '417', '421', '431', '501']],
    [{ limit: 'exempt' }, ['308', '414', '417', '431', '501']],
    [{ auth: 'user' }, ['308', '414', '417', '421', '431', '501']],
  ] as const) {
    const references = Object.entries(describeAll(more)).filter(([, response]) => '$ref' in response);
    assert.deepEqual(references.map(([status]) => status).sort(), expected);
    for (const [status, response] of references) {
      assert.ok('$ref' in response);
      const component = components[response.$ref.replace('#/components/responses/', '')];
      assert.ok(component !== undefined, response.$ref);
      const { example } = component.content?.['application/problem+json'] ?? {};
      if (status !== '308') assert.match(JSON.stringify(example), new RegExp(`"status":${status},`));
    }
  }
  assert.match(describe({ auth: 'user' })['403']?.description ?? '', /https_required/);
  assert.ok(components.Moved?.headers.Location);
});

test('an error response is a problem, lists its codes, and has an example as the server would send it', () => {
  const rejection = describe({ body: some })['415'];
  assert.equal(
    rejection?.description,
    'Unsupported media type (`unsupported_media_type`); Unsupported content encoding (`unsupported_encoding`).',
  );
  const { schema, example } = rejection?.content?.['application/problem+json'] ?? {};
  assert.deepEqual(schema, { $ref: '#/components/schemas/Problem' });
  assert.deepEqual(example, {
    type: 'urn:strata:problem:unsupported-media-type',
    title: 'Unsupported media type',
    status: 415,
    detail: 'A sentence about the reason and what to do about it.',
    code: 'unsupported_media_type',
    request_id: '7b0c5b2e-6f0e-4f0c-9d5c-1d1f6a1f7c55',
  });
});

test('the 413 of a route with a limit of its own states that limit', () => {
  assert.match(
    describe({ body: some, maxBody: 64_000 })['413']?.description ?? '',
    /the limit is 64000 bytes\.$/,
  );
});

test('every response of a limited route has the headers of the limit, and 429 also has Retry-After', () => {
  const responses = describe({});
  for (const { headers } of Object.values(responses)) {
    assert.deepEqual(headers.RateLimit, { $ref: '#/components/headers/RateLimit' });
    assert.ok(headers['RateLimit-Policy']);
    assert.ok(headers['X-Request-ID']);
  }
  assert.ok(responses['429']?.headers['Retry-After']);
  assert.equal(responses['204']?.headers['Retry-After'], undefined);
  assert.equal(describe({ limit: 'exempt' })['204']?.headers.RateLimit, undefined);
});

test('a 401 has WWW-Authenticate', () => {
  const header = { $ref: '#/components/headers/WWW-Authenticate' };
  assert.deepEqual(describe({ auth: 'user' })['401']?.headers['WWW-Authenticate'], header);
  assert.equal(describe({ auth: 'user' })['403']?.headers['WWW-Authenticate'], undefined);
});

test('an idempotent route marks a repeated response, and its 409 for a running request has Retry-After', () => {
  const responses = describe({ idempotent: true });
  assert.ok(responses['204']?.headers['Idempotency-Replayed']);
  assert.ok(responses['409']?.headers['Retry-After']);
  assert.match(responses['422']?.description ?? '', /idempotency_mismatch/);
  assert.equal(describe({ problems: ['conflict'] })['409']?.headers['Retry-After'], undefined);
});

test('a status that is both declared and an error of the route has both descriptions', () => {
  const responses = { 503: { description: 'Not ready.', schema: some } };
  const response = describe({ limit: 'exempt', responses })['503'];
  assert.deepEqual(Object.keys(response?.content ?? {}), ['application/json', 'application/problem+json']);
  assert.equal(response?.description, 'Not ready. Or: Deadline exceeded (`deadline_exceeded`).');
});

test('a GET operation describes a 304, with an entity tag if the 200 has one', () => {
  const spec = { description: 'It.', schema: some };
  const tagOf = (more: Partial<Route>) => describe(more)['304']?.headers.ETag;
  assert.ok(tagOf({ etag: true, responses: { 200: spec } }));
  assert.ok(tagOf({ responses: { 200: { ...spec, headers: { etag: 'Its version.' } } } }));
  assert.equal(tagOf({ responses: { 200: spec } }), undefined);
  assert.ok(describe({ responses: { 200: spec } })['304']);
  assert.equal(describe({ method: 'POST', responses: { 200: spec } })['304'], undefined);
});

test('a declared header keeps its description and gets the schema of the standard header', () => {
  const headers = { etag: 'The version of the thing.', 'x-total': 'How many there are.' };
  const described = describe({ responses: { 200: { description: 'It.', schema: some, headers } } })['200']
    ?.headers;
  assert.deepEqual(described?.ETag, {
    description: 'The version of the thing.',
    schema: { type: 'string', maxLength: 128, pattern: '^(?:W/)?"[^"]*"$' },
  });
  assert.deepEqual(described?.['X-Total'], {
    description: 'How many there are.',
    schema: { type: 'string', maxLength: 8192, pattern: '^[\\t -~]*$' },
  });
});

test('a 201 has Location, even if the route does not declare it', () => {
  assert.ok(
    describe({ responses: { 201: { description: 'Made.', schema: some } } })['201']?.headers.Location,
  );
});

test('a response has the output form of its schema, and its example', () => {
  const schema = z.object({
    at: z.date().transform(String).pipe(z.iso.datetime()),
    count: z.int().min(0).max(9).default(0),
  });
  const response = describe({ responses: { 200: { description: 'It.', schema, example: { count: 3 } } } })[
    '200'
  ];
  const media = response?.content?.['application/json'];
  assert.deepEqual(media?.schema?.required, ['at', 'count']);
  assert.deepEqual(media?.example, { count: 3 });
});

test('a response of bytes is described by its media type, without a schema', () => {
  const response = describe({ responses: { 200: { description: 'A picture.', contentType: 'image/png' } } })[
    '200'
  ];
  assert.deepEqual(response?.content, { 'image/png': {} });
});
