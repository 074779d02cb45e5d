import assert from 'node:assert/strict';
import { it } from 'node:test';
import { StartError } from '../../src/errors.ts';
import { assertRouteAccess, isOpen } from '../../src/http/route-access.ts';
import { testRoute } from '../helpers/test-route.ts';

const routeWith = (facts: Parameters<typeof testRoute>[3]) => testRoute('GET', '/things', () => null, facts);

it('a route is open if it asks for no credentials', () => {
  const auths = ['none', 'own', 'user', 'apiKey', 'any'] as const;
  assert.deepEqual(
    auths.map((auth) => isOpen(routeWith({ auth }))),
    [true, true, false, false, false],
  );
});

it('an open route that wants a role or a scope stops the start, and the sentence names it', () => {
  for (const facts of [
    { auth: 'none', roles: ['admin'] },
    { auth: 'none', roles: [] },
    { auth: 'own', scopes: ['users:read'] },
  ] as const) {
    assert.throws(
      () => assertRouteAccess([routeWith({ auth: 'user', roles: ['admin'] }), routeWith(facts)]),
      (error) => error instanceof StartError && /^GET \/things declares roles or scopes/.test(error.message),
    );
  }
  assertRouteAccess([routeWith({}), routeWith({ auth: 'any', scopes: ['users:read'], roles: ['admin'] })]);
});
