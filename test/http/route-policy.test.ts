import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StartError } from '../../src/errors.ts';
import type { RouteLimit } from '../../src/http/route-declaration.ts';
import { assertRoutePolicies, isOpen } from '../../src/http/route-policy.ts';
import { testRoute } from '../helpers/test-route.ts';

const routeWith = (facts: Parameters<typeof testRoute>[3]) => testRoute('GET', '/things', () => null, facts);

it('a route is open if it requires no credentials', () => {
  const auths = ['none', 'own', 'user', 'apiKey', 'any'] as const;
  assert.deepEqual(
    auths.map((auth) => isOpen(routeWith({ auth }))),
    [true, true, false, false, false],
  );
});

it('an open route that requires a role or a scope stops the start with an error that names the route', () => {
  for (const facts of [
    { auth: 'none', roles: ['admin'] },
    { auth: 'none', roles: [] },
    { auth: 'own', scopes: ['users:read'] },
  ] as const) {
    assert.throws(
      () => assertRoutePolicies([routeWith({ auth: 'user', roles: ['admin'] }), routeWith(facts)]),
      (error) => error instanceof StartError && /^GET \/things declares roles or scopes/.test(error.message),
    );
  }
  assertRoutePolicies([routeWith({}), routeWith({ auth: 'any', scopes: ['users:read'], roles: ['admin'] })]);
});

describe('the limits of routes', () => {
  const login: RouteLimit = { name: 'login', by: 'address', quota: 10, windowMs: 60_000 };
  const routesWith = (...limits: RouteLimit[]) =>
    limits.map((limit, index) => testRoute('POST', `/${index}`, () => 1, { limits: [limit] }));

  it('two routes may share the name of a limit if the limits are equal', () => {
    assertRoutePolicies(routesWith(login, { ...login }, { ...login, name: 'reset-2', quota: 1 }));
  });

  const rejected: readonly (readonly [what: string, limits: RouteLimit[], sentence: RegExp])[] = [
    ['one name for two quotas', [login, { ...login, quota: 11 }], /"login" of POST \/1 differs/],
    ['one name for two windows', [login, { ...login, windowMs: 1000 }], /differs/],
    ['one name for a limit by address and one by user', [login, { ...login, by: 'user' }], /differs/],
    [
      'a name that the application itself uses',
      [{ ...login, name: 'user' }],
      /none of address, minute, hour, user/,
    ],
    ['a name that no header field can contain', [{ ...login, name: 'log"in' }], /needs another name/],
    ['an empty name', [{ ...login, name: '' }], /needs another name/],
    ['a quota of 0', [{ ...login, quota: 0 }], /quota of at least 1/],
    ['a quota of half a request', [{ ...login, quota: 0.5 }], /quota of at least 1/],
    ['a window of half a second', [{ ...login, windowMs: 500 }], /whole seconds/],
    ['a window of 0', [{ ...login, windowMs: 0 }], /whole seconds/],
  ];
  for (const [what, limits, sentence] of rejected) {
    it(`${what} stops the start`, () => {
      assert.throws(() => assertRoutePolicies(routesWith(...limits)), {
        name: StartError.name,
        message: sentence,
      });
    });
  }

  it('an open route with a cost stops the start if it has no limit', () => {
    assert.throws(() => assertRoutePolicies([testRoute('POST', '/letters', () => 1, { costs: ['mail'] })]), {
      name: StartError.name,
      message: 'POST /letters is open to every client and costs mail: declare its limits.',
    });
  });

  it('a route with a cost is accepted if it has a limit, or requires credentials', () => {
    assertRoutePolicies([
      testRoute('POST', '/letters', () => 1, { costs: ['mail'], limits: [login] }),
      testRoute('POST', '/own-letters', () => 1, { costs: ['mail'], auth: 'user' }),
    ]);
  });
});
