import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Principal } from '../../../src/auth/principal.ts';
import { AppError } from '../../../src/errors.ts';
import { compose } from '../../../src/http/compose.ts';
import type { Route } from '../../../src/http/route.ts';
import type { Method } from '../../../src/http/route-declaration.ts';
import { recheckAuthority } from '../../../src/middleware/caller/recheck-authority.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { makeContext } from '../../helpers/context.ts';
import { ada, admin, key } from '../../helpers/test-principals.ts';
import { testRoute } from '../../helpers/test-route.ts';

const over = new AppError('unauthenticated', 'The session is over.');

interface Asked {
  readonly method?: Method;
  readonly facts?: Partial<Route>;
  /** The authenticated principal; undefined for a request without credentials. */
  readonly authenticated?: Principal | undefined;
  /** The current principal in the database, or the error of the look-up. */
  readonly now: Principal | AppError;
}

/** Sends a request through the layer. Returns the number of look-ups and the result. */
async function ask({ method = 'POST', facts = {}, authenticated = admin, now }: Asked) {
  const captured = captureLog();
  const ctx = makeContext({
    method,
    target: '/things/1',
    peer: '192.0.2.1',
    route: { ...testRoute(method, '/things/:id', () => null), auth: 'any', ...facts },
  });
  let asked = 0;
  ctx.principal = authenticated;
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

describe('the rule which routes check the caller again', () => {
  const table: [what: string, asked: Partial<Asked>, times: number][] = [
    ['a POST', { method: 'POST' }, 1],
    ['a PUT', { method: 'PUT' }, 1],
    ['a PATCH', { method: 'PATCH' }, 1],
    ['a DELETE', { method: 'DELETE' }, 1],
    ['a POST to an open route with credentials', { facts: { auth: 'none' } }, 1],
    ['a GET', { method: 'GET' }, 0],
    ['a GET that declares it', { method: 'GET', facts: { authority: 'fresh' } }, 1],
    ['a POST that declares a reason not to', { facts: { authority: { cached: 'It changes nothing.' } } }, 0],
  ];
  for (const [what, asked, times] of table) {
    it(`${what} ${times === 1 ? 'checks the caller again' : 'does not check the caller again'}`, async () => {
      assert.equal((await ask({ now: admin, ...asked })).asked, times);
    });
  }
});

describe('a caller who is checked again', () => {
  const table: [what: string, now: Principal | AppError, facts: Partial<Route>, code: string | undefined][] =
    [
      ['a caller with the same permissions is allowed', admin, { roles: ['admin'] }, undefined],
      ['a caller whose session is over is rejected', over, {}, 'unauthenticated'],
      ['a caller who lost the role of the route is rejected', ada, { roles: ['admin'] }, 'forbidden'],
      ['a caller without a scope of the route is rejected', key, { scopes: ['tasks:write'] }, 'forbidden'],
      ['a caller with the wrong kind of credential is rejected', key, { auth: 'user' }, 'forbidden'],
    ];
  for (const [what, now, facts, code] of table) {
    it(what, async () => assert.equal((await ask({ now, facts })).code, code));
  }

  it('the handler gets the current principal from the database', async () => {
    assert.equal((await ask({ now: ada })).principal, ada);
  });

  it('a rejected caller is named in the log', async () => {
    const { log } = await ask({ now: ada, facts: { roles: ['admin'] } });
    assert.deepEqual(
      log.lines().map(({ event, user_id, reason }) => [event, user_id, reason]),
      [['auth.access.denied', 1, 'role']],
    );
  });
});
