import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod';
import { noContent } from '../../src/http/reply.ts';
import { type Route, route } from '../../src/http/route.ts';
import {
  createOpenApiDocument,
  createOpenApiDocumentInPieces,
  type DocumentOptions,
  type OpenApiDocument,
} from '../../src/openapi/document.ts';

const thing = z.object({ id: z.int().min(1), name: z.string().max(50) }).meta({ id: 'Thing' });
const security = {
  tokenUrl: '/auth/login',
  refreshUrl: '/auth/refresh',
  apiKeyHeader: 'X-Key',
  scopes: { 'things:read': 'Read things.' },
};
const plain = { tags: ['things'], auth: 'none', responses: { 204: { description: 'Done.' } } } as const;

function get(path: string, more: Partial<Route> = {}): Route {
  const handler = () => noContent();
  return { ...plain, method: 'GET', path, operationId: 'getThing', summary: 'Read', handler, ...more };
}

function describe(routes: readonly Route[], environment = 'local'): OpenApiDocument {
  return createOpenApiDocument(optionsFor(routes, environment));
}

function optionsFor(routes: readonly Route[], environment = 'local'): DocumentOptions {
  return {
    routes,
    environment,
    info: { title: 'Things', description: 'All about things.', version: '1.2.3' },
    tags: [
      { name: 'things', description: 'What this is about.' },
      { name: 'others', description: 'What nothing uses.' },
    ],
    security,
  };
}

test('the document that is generated in pieces is the same, and other events are handled after each route', async () => {
  const routes = ['/a', '/b', '/c', '/d'].map((path, index) => get(path, { operationId: `get${index}` }));
  let turns = 0;
  const immediate = () => {
    turns += 1;
    pending = setImmediate(immediate);
  };
  let pending = setImmediate(immediate);
  assert.deepEqual(await createOpenApiDocumentInPieces(optionsFor(routes)), describe(routes));
  clearImmediate(pending);
  assert.ok(turns >= routes.length, `${turns} turns of the event loop`);
});

test('the document has the name of the service, its licence and the server that it came from', () => {
  const { openapi, info, servers, tags } = describe([get('/things')], 'staging');
  assert.equal(openapi, '3.1.0');
  assert.deepEqual(info, {
    title: 'Things',
    description: 'All about things.',
    version: '1.2.3',
    contact: { name: 'The maintainers of Things' },
    license: { name: 'MIT', identifier: 'MIT' },
  });
  assert.deepEqual(servers, [{ url: '/', description: 'This server (staging)', 'x-internal': true }]);
  assert.deepEqual(tags, [{ name: 'things', description: 'What this is about.' }]);
});

test('routes of one path are grouped, under their methods in lower case', () => {
  const { paths } = describe([
    get('/things/:id/files/*path'),
    get('/things/:id/files/*path', { method: 'DELETE', operationId: 'deleteFile' }),
  ]);
  assert.deepEqual(Object.keys(paths), ['/things/{id}/files/{path}']);
  assert.deepEqual(Object.keys(paths['/things/{id}/files/{path}'] ?? {}), ['get', 'delete']);
});

test('a hidden route is not in the document', () => {
  assert.deepEqual(describe([get('/things', { hidden: true })]).paths, {});
});

test('a schema with an id is one component, and every use refers to it', () => {
  const list = z.object({ items: z.array(thing).max(10) });
  const document = describe([
    get('/things', { operationId: 'listThings', responses: { 200: { description: 'All.', schema: list } } }),
    get('/things/:id', { responses: { 200: { description: 'One.', schema: thing } } }),
  ]);
  const one = document.paths['/things/{id}']?.get?.responses['200'];
  assert.ok(one !== undefined && 'content' in one);
  assert.deepEqual(one.content?.['application/json']?.schema, { $ref: '#/components/schemas/Thing' });
  assert.deepEqual(document.components.schemas.Thing, {
    type: 'object',
    properties: {
      id: { type: 'integer', format: 'int64', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
      name: { type: 'string', maxLength: 50, pattern: '^[^\\u0000]*$' },
    },
    required: ['id', 'name'],
    additionalProperties: false,
  });
});

test('every reference has its component, and every component is referred to', () => {
  const document = describe([
    get('/things/:id', { etag: true, responses: { 200: { description: 'One.', schema: thing } } }),
    get('/probe', { operationId: 'probe', limit: 'exempt' }),
  ]);
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/([^"]*)"/g)].map(
    ([, at]) => at,
  );
  const { schemas, headers, responses } = document.components;
  const components = [
    ...Object.keys(schemas).map((name) => `schemas/${name}`),
    ...Object.keys(headers).map((name) => `headers/${name}`),
    ...Object.keys(responses).map((name) => `responses/${name}`),
  ];
  assert.deepEqual([...new Set(references)].sort(), components.sort());
});

test('a duplicate operationId is an error that names the second route', () => {
  assert.throws(
    () => describe([get('/a'), get('/b')]),
    /^StartError: GET \/b has the operationId "getThing" of another route\.$/,
  );
});

test('a tag without a description is an error that names the route', () => {
  assert.throws(
    () => describe([get('/a', { tags: ['thigns'] })]),
    /^StartError: GET \/a has the tag "thigns"/,
  );
});

test('a deprecated route is marked as deprecated', () => {
  const old = route({
    ...plain,
    method: 'GET',
    path: '/old',
    operationId: 'old',
    summary: 'Old',
    deprecated: true,
    handler: () => noContent(),
  });
  const { paths } = describe([old, get('/new')]);
  assert.equal(paths['/old']?.get?.deprecated, true);
  assert.equal(paths['/new']?.get?.deprecated, undefined);
});

test('every security scheme that an operation names is described, with its scopes', () => {
  const { paths, components } = describe([get('/things', { auth: 'any', scopes: ['users:read'] })]);
  const named = (paths['/things']?.get?.security ?? []).flatMap((each) => Object.keys(each));
  assert.deepEqual(named.sort(), Object.keys(components.securitySchemes).sort());
  assert.deepEqual(
    components.securitySchemes.password?.type === 'oauth2' && components.securitySchemes.password.flows,
    {
      password: {
        tokenUrl: '/auth/login',
        refreshUrl: '/auth/refresh',
        scopes: { 'things:read': 'Read things.' },
      },
    },
  );
});
