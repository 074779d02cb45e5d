import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Principal } from '../../src/auth/principal.ts';
import { AppError } from '../../src/errors.ts';
import { compose } from '../../src/http/compose.ts';
import type { Route } from '../../src/http/route.ts';
import { authorise } from '../../src/middleware/authorise.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { makeContext } from '../helpers/context.ts';
import { testRoute } from '../helpers/test-route.ts';

const user: Principal = {
  kind: 'session',
  sessionId: 'session-of-ada',
  userId: 1,
  username: 'ada',
  role: 'user',
};
const admin: Principal = { ...user, role: 'admin' };
const key: Principal = {
  kind: 'apiKey',
  keyId: 7,
  userId: 1,
  username: 'ada',
  role: 'user',
  scopes: new Set(['users:read']),
};

/** Sends somebody to a route. `code` is undefined for who is let in. */
function ask(facts: Partial<Route> | null, principal: Principal | undefined) {
  const captured = captureLog();
  const route = facts === null ? {} : { route: { ...testRoute('GET', '/things/:id', () => null), ...facts } };
  const ctx = makeContext({ target: '/things/1', peer: '192.0.2.1', ...route });
  ctx.principal = principal;
  let letIn = false;
  const layer = authorise({ log: captured.log, realm: 'Strata', apiKeyHeader: 'X-API-Key' });
  const run = compose([{ name: 'authorise', run: layer }], () => {
    letIn = true;
    return undefined;
  });
  try {
    assert.equal(run(ctx), undefined);
  } catch (error) {
    assert.ok(error instanceof AppError && !letIn, String(error));
    assert.equal(error.layer, 'authorise');
    return { ctx, log: captured, code: error.code, detail: error.message, headers: error.headers };
  }
  assert.ok(letIn);
  return { ctx, log: captured, code: undefined, detail: undefined, headers: undefined };
}

describe('who is let in', () => {
  const none = undefined;
  const table: [
    what: string,
    facts: Partial<Route> | null,
    principal: Principal | undefined,
    code: string | undefined,
  ][] = [
    ['anybody, to an open route', { auth: 'none' }, none, undefined],
    ['a user, to an open route', { auth: 'none' }, user, undefined],
    ['anybody, to a route with a credential of its own', { auth: 'own' }, none, undefined],
    ['anybody, to a path that has no route', null, none, undefined],
    ['nobody unknown, to a route for users', { auth: 'user' }, none, 'unauthenticated'],
    ['nobody unknown, to a route for programs', { auth: 'apiKey' }, none, 'unauthenticated'],
    ['nobody unknown, to a route for both', { auth: 'any' }, none, 'unauthenticated'],
    ['nobody unknown, to a route with a role', { auth: 'user', roles: ['user'] }, none, 'unauthenticated'],
    ['a user, to a route for users', { auth: 'user' }, user, undefined],
    ['no key, to a route for users', { auth: 'user' }, key, 'forbidden'],
    ['a key, to a route for programs', { auth: 'apiKey' }, key, undefined],
    ['no user, to a route for programs', { auth: 'apiKey' }, user, 'forbidden'],
    ['no admin either, to a route for programs', { auth: 'apiKey' }, admin, 'forbidden'],
    ['a user, to a route for both', { auth: 'any' }, user, undefined],
    ['a key, to a route for both', { auth: 'any' }, key, undefined],
    ['an admin, to a route for admins', { auth: 'user', roles: ['admin'] }, admin, undefined],
    ['no user, to a route for admins', { auth: 'user', roles: ['admin'] }, user, 'forbidden'],
    ['a user, to a route for either role', { auth: 'user', roles: ['admin', 'user'] }, user, undefined],
    ['nobody, to a route for no role at all', { auth: 'user', roles: [] }, admin, 'forbidden'],
    ['a key with the scope', { auth: 'any', scopes: ['users:read'] }, key, undefined],
    ['no key without the scope', { auth: 'any', scopes: ['tasks:write'] }, key, 'forbidden'],
    [
      'no key with one scope of two',
      { auth: 'any', scopes: ['users:read', 'users:write'] },
      key,
      'forbidden',
    ],
    ['a user, whatever the scope', { auth: 'any', scopes: ['users:read', 'tasks:write'] }, user, undefined],
  ];
  for (const [what, facts, principal, code] of table) {
    it(what, () => assert.equal(ask(facts, principal).code, code));
  }
});

describe('a refusal', () => {
  it('of somebody unknown has a challenge without an error, and says what to send', () => {
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

  it('names what is missing, and is logged with who it was', () => {
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
    assert.equal(ask({ auth: 'user', roles: ['admin'] }, user).detail, 'This needs the role admin.');
    assert.match(String(ask({ auth: 'user' }, key).detail), /needs a user who has signed in/);
    assert.match(String(ask({ auth: 'apiKey' }, user).detail), /needs an API key/);
  });
});

describe('an answer that caches may keep', () => {
  it('is kept apart by credentials where not everybody may see it', () => {
    assert.equal(
      ask({ auth: 'any', cache: 'private, max-age=60' }, user).ctx.headers.vary,
      'Authorization, X-API-Key',
    );
    assert.equal(ask({ auth: 'any' }, user).ctx.headers.vary, undefined);
    assert.equal(ask({ auth: 'none', cache: 'public, max-age=60' }, undefined).ctx.headers.vary, undefined);
  });
});
