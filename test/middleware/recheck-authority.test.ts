import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Principal } from '../../src/auth/principal.ts';
import { AppError } from '../../src/errors.ts';
import { compose } from '../../src/http/compose.ts';
import type { Route } from '../../src/http/route.ts';
import type { Method } from '../../src/http/route-declaration.ts';
import { recheckAuthority } from '../../src/middleware/recheck-authority.ts';
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
const key: Principal = { ...user, kind: 'apiKey', keyId: 7, scopes: new Set(['users:read']) };
const over = new AppError('unauthenticated', 'The session is over.');

interface Asked {
  readonly method?: Method;
  readonly facts?: Partial<Route>;
  /** Who was admitted; undefined for a request without credentials. */
  readonly admitted?: Principal | undefined;
  /** Who it is now. */
  readonly now: Principal | AppError;
}

/** Sends a request through the layer. Says how often the database was asked, and how it ended. */
async function ask({ method = 'POST', facts = {}, admitted = admin, now }: Asked) {
  const captured = captureLog();
  const ctx = makeContext({
    method,
    target: '/things/1',
    peer: '192.0.2.1',
    route: { ...testRoute(method, '/things/:id', () => null), auth: 'any', ...facts },
  });
  let asked = 0;
  ctx.principal = admitted;
  ctx.identifyNow = () => {
    asked += 1;
    return now instanceof AppError ? Promise.reject(now) : Promise.resolve(now);
  };
  const run = compose(
    [{ name: 'recheck-authority', run: recheckAuthority({ log: captured.log }) }],
    () => undefined,
  );
  const code = await Promise.resolve(run(ctx)).then(
    () => undefined,
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );
  return { asked, code, principal: ctx.principal, log: captured };
}

describe('the routes whose caller is checked again', () => {
  const table: [what: string, asked: Partial<Asked>, times: number][] = [
    ['a POST', { method: 'POST' }, 1],
    ['a PUT', { method: 'PUT' }, 1],
    ['a PATCH', { method: 'PATCH' }, 1],
    ['a DELETE', { method: 'DELETE' }, 1],
    ['a POST to an open route with credentials', { facts: { auth: 'none' } }, 1],
    ['a GET', { method: 'GET' }, 0],
    ['a GET that declares it', { method: 'GET', facts: { authority: 'fresh' } }, 1],
    ['a POST with a reason not to', { facts: { authority: { cached: 'It changes nothing.' } } }, 0],
  ];
  for (const [what, asked, times] of table) {
    it(`${what}: ${times === 1 ? 'checked again' : 'not checked again'}`, async () => {
      assert.equal((await ask({ now: admin, ...asked })).asked, times);
    });
  }
});

describe('a caller who is checked again', () => {
  const table: [what: string, now: Principal | AppError, facts: Partial<Route>, code: string | undefined][] =
    [
      ['is admitted as before', admin, { roles: ['admin'] }, undefined],
      ['is refused when the session is over', over, {}, 'unauthenticated'],
      ['is refused when the role of the route was taken away', user, { roles: ['admin'] }, 'forbidden'],
      ['is refused when a scope of the route is missing', key, { scopes: ['tasks:write'] }, 'forbidden'],
      ['is refused when the kind of credential is not enough', key, { auth: 'user' }, 'forbidden'],
    ];
  for (const [what, now, facts, code] of table) {
    it(what, async () => assert.equal((await ask({ now, facts })).code, code));
  }

  it('is seen by the handler as the database has the caller now', async () => {
    assert.equal((await ask({ now: user })).principal, user);
  });

  it('is named in the log when refused', async () => {
    const { log } = await ask({ now: user, facts: { roles: ['admin'] } });
    assert.deepEqual(
      log.lines().map(({ event, user_id, reason }) => [event, user_id, reason]),
      [['auth.access.denied', 1, 'role']],
    );
  });
});
