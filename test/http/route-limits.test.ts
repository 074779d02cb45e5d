import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StartError } from '../../src/errors.ts';
import type { RouteLimit } from '../../src/http/route.ts';
import { assertRouteLimits } from '../../src/http/route-limits.ts';
import { testRoute } from '../helpers/test-route.ts';

const login: RouteLimit = { name: 'login', by: 'address', quota: 10, windowMs: 60_000 };
const routesWith = (...limits: RouteLimit[]) =>
  limits.map((limit, index) => testRoute('POST', `/${index}`, () => 1, { limits: [limit] }));

describe('the limits of routes', () => {
  it('may share a name if they are the same', () => {
    assertRouteLimits(routesWith(login, { ...login }, { ...login, name: 'reset-2', quota: 1 }));
  });

  const refused: readonly (readonly [what: string, limits: RouteLimit[], sentence: RegExp])[] = [
    ['with one name and two quotas', [login, { ...login, quota: 11 }], /"login" of POST \/1 differs/],
    ['with one name and two windows', [login, { ...login, windowMs: 1000 }], /differs/],
    ['with one name, by address and by user', [login, { ...login, by: 'user' }], /differs/],
    [
      'with a name of the application itself',
      [{ ...login, name: 'user' }],
      /none of address, minute, hour, user/,
    ],
    ['with a name that no header field can carry', [{ ...login, name: 'log"in' }], /needs another name/],
    ['without a name', [{ ...login, name: '' }], /needs another name/],
    ['of nothing', [{ ...login, quota: 0 }], /quota of at least 1/],
    ['of half a request', [{ ...login, quota: 0.5 }], /quota of at least 1/],
    ['in half a second', [{ ...login, windowMs: 500 }], /whole seconds/],
    ['in no time', [{ ...login, windowMs: 0 }], /whole seconds/],
  ];
  for (const [what, limits, sentence] of refused) {
    it(`are refused ${what}`, () => {
      assert.throws(() => assertRouteLimits(routesWith(...limits)), {
        name: StartError.name,
        message: sentence,
      });
    });
  }
});

describe('a route that costs something', () => {
  const costs = ['mail'] as const;
  const limits = [login];

  it('is refused without a limit if everybody may use it', () => {
    assert.throws(() => assertRouteLimits([testRoute('POST', '/letters', () => 1, { costs })]), {
      name: StartError.name,
      message: 'POST /letters is open to everybody and costs mail: declare its limits.',
    });
  });

  it('is accepted with a limit, and for known callers, who have one', () => {
    assertRouteLimits([
      testRoute('POST', '/letters', () => 1, { costs, limits }),
      testRoute('POST', '/own-letters', () => 1, { costs, auth: 'user' }),
    ]);
  });
});
