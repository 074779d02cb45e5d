import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../src/http/route.ts';
import { describeSecurity, describeSecuritySchemes } from '../../src/openapi/security.ts';
import { testRoute } from '../helpers/test-route.ts';

const scopes = ['tasks:write'] as const;
const session = [{ password: scopes }, { bearer: [] }];

for (const [what, facts, expected] of [
  ['an open route requires no credentials', { auth: 'none' }, [{}]],
  ['a route with a credential of its own asks for no other', { auth: 'own' }, [{}]],
  [
    'a route with a credential of its own may take an access token beside it',
    { auth: 'own', readsAccessToken: true },
    [{}, { password: [] }, { bearer: [] }],
  ],
  [
    'a route for users accepts their access token, however they came by it',
    { auth: 'user', scopes },
    session,
  ],
  ['a route for programs accepts an API key', { auth: 'apiKey', scopes }, [{ apiKey: [] }]],
  ['a route for either accepts any of the three', { auth: 'any', scopes }, [...session, { apiKey: [] }]],
  ['a route for admins accepts no API key', { auth: 'any', scopes, roles: ['admin'] }, session],
] satisfies [string, Partial<Route>, unknown][]) {
  test(what, () => {
    assert.deepEqual(describeSecurity(testRoute('GET', '/things', () => null, facts)), expected);
  });
}

test('the API key is in the header that the settings name', () => {
  const { apiKey } = describeSecuritySchemes({
    ...{ tokenUrl: '/login', refreshUrl: '/refresh', apiKeyHeader: 'X-Key', scopes: {} },
  });
  assert.deepEqual(
    [apiKey.type === 'apiKey' && apiKey.in, apiKey.type === 'apiKey' && apiKey.name],
    ['header', 'X-Key'],
  );
});
