import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Principal } from '../../../src/auth/principal.ts';
import { compose } from '../../../src/http/compose.ts';
import type { Route } from '../../../src/http/route.ts';
import { authorise } from '../../../src/middleware/caller/authorise.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { makeContext } from '../../helpers/context.ts';
import { rejectionNow } from '../../helpers/rejection.ts';
import { ada, admin, key } from '../../helpers/test-principals.ts';
import { testRoute } from '../../helpers/test-route.ts';

/** Sends a request of a principal to a route. `code` is undefined if it is allowed. */
function ask(facts: Partial<Route> | null, principal: Principal | undefined) {
  const captured = captureLog();
  const route = facts === null ? {} : { route: { ...testRoute('GET', '/things/:id', () => null), ...facts } };
  const ctx = makeContext({ target: '/things/1', peer: '192.0.2.1', ...route });
  ctx.principal = principal;
  let allowed = false;
  const layer = authorise({ log: captured.log, realm: 'Strata', apiKeyHeader: 'X-API-Key' });
  const run = compose([{ name: 'authorise', run: layer }], () => {
    allowed = true;
    return undefined;
  });
  const error = rejectionNow(run, ctx);
  assert.equal(allowed, error === undefined);
  if (error !== undefined) assert.equal(error.layer, 'authorise');
  return { ctx, log: captured, code: error?.code, detail: error?.message, headers: error?.headers };
}

describe('access to a route', () => {
  const none = undefined;
  const table: [
    what: string,
    facts: Partial<Route> | null,
    principal: Principal | undefined,
    code: string | undefined,
  ][] = [
    ['an anonymous client may use an open route', { auth: 'none' }, none, undefined],
    ['a user may use an open route', { auth: 'none' }, ada, undefined],
    ['an anonymous client may use a route with its own credential', { auth: 'own' }, none, undefined],
    ['an anonymous client may request an unknown path', null, none, undefined],
    ['an anonymous client may not use a route for users', { auth: 'user' }, none, 'unauthenticated'],
    ['an anonymous client may not use a route for API keys', { auth: 'apiKey' }, none, 'unauthenticated'],
    [
      'an anonymous client may not use a route for users and API keys',
      { auth: 'any' },
      none,
      'unauthenticated',
    ],
    [
      'an anonymous client may not use a route with a role',
      { auth: 'user', roles: ['user'] },
      none,
      'unauthenticated',
    ],
    ['a user may use a route for users', { auth: 'user' }, ada, undefined],
    ['an API key may not use a route for users', { auth: 'user' }, key, 'forbidden'],
    ['an API key may use a route for API keys', { auth: 'apiKey' }, key, undefined],
    ['a user may not use a route for API keys', { auth: 'apiKey' }, ada, 'forbidden'],
    ['an admin may not use a route for API keys', { auth: 'apiKey' }, admin, 'forbidden'],
    ['a user may use a route for users and API keys', { auth: 'any' }, ada, undefined],
    ['an API key may use a route for users and API keys', { auth: 'any' }, key, undefined],
    ['an admin may use a route for admins', { auth: 'user', roles: ['admin'] }, admin, undefined],
    ['a user may not use a route for admins', { auth: 'user', roles: ['admin'] }, ada, 'forbidden'],
    ['a user may use a route for either role', { auth: 'user', roles: ['admin', 'user'] }, ada, undefined],
    [
      'an admin may not use a route with an empty list of roles',
      { auth: 'user', roles: [] },
      admin,
      'forbidden',
    ],
    ['an API key with the scope may use the route', { auth: 'any', scopes: ['users:read'] }, key, undefined],
    [
      'an API key without the scope may not use the route',
      { auth: 'any', scopes: ['tasks:write'] },
      key,
      'forbidden',
    ],
    [
      'an API key with one scope of two may not use the route',
      { auth: 'any', scopes: ['users:read', 'users:write'] },
      key,
      'forbidden',
    ],
    [
      'a user may use a route with any scope',
      { auth: 'any', scopes: ['users:read', 'tasks:write'] },
      ada,
      undefined,
    ],
  ];
  for (const [what, facts, principal, code] of table) {
    it(what, () => assert.equal(ask(facts, principal).code, code));
  }
});

describe('a rejection', () => {
  it('a rejection of an anonymous client has a challenge without an error, and states what to send', () => {
    const sentences = {
      user: /sign in, and send the access token as "Authorization: Bearer <token>"/,
      apiKey: /send an API key as "X-API-Key"/,
      any: /"Authorization: Bearer <token>", or an API key as "X-API-Key"/,
    };
    for (const auth of ['user', 'apiKey', 'any'] as const) {
      const { headers, detail, log } = ask({ auth }, undefined);
      assert.equal(headers?.['www-authenticate'], 'Bearer realm="Strata"');
      assert.match(String(detail), sentences[auth]);
      assert.deepEqual(log.lines(), []);
    }
  });

  it('a rejection names the missing permission, and is logged with the caller', () => {
    const key403 = ask({ auth: 'any', scopes: ['users:read', 'users:write', 'tasks:write'] }, key);
    assert.equal(key403.detail, 'This API key lacks the scope users:write and tasks:write.');
    const [line] = key403.log.of('auth.access.denied');
    assert.deepEqual(
      [
        line?.level,
        line?.user_id,
        line?.key_id,
        line?.reason,
        line?.method,
        line?.route,
        line?.client_address,
      ],
      ['warning', 1, 7, 'scope', 'GET', '/things/:id', '192.0.2.1'],
    );
    assert.equal(ask({ auth: 'user', roles: ['admin'] }, ada).detail, 'This needs the role admin.');
    assert.match(String(ask({ auth: 'user' }, key).detail), /needs a user who has signed in/);
    assert.match(String(ask({ auth: 'apiKey' }, ada).detail), /needs an API key/);
  });
});

describe('a cacheable response', () => {
  it('a cacheable response varies by credentials unless the route is open', () => {
    assert.equal(
      ask({ auth: 'any', cache: { scope: 'private', maxAge: 60 } }, ada).ctx.headers.vary,
      'Authorization, X-API-Key',
    );
    assert.equal(ask({ auth: 'any' }, ada).ctx.headers.vary, undefined);
    assert.equal(
      ask({ auth: 'none', cache: { scope: 'public', maxAge: 60 } }, undefined).ctx.headers.vary,
      undefined,
    );
  });
});
