/** The work that anonymous clients can cause, and the limits that protect other clients from it. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createPasswordHasher, type PasswordHasher } from '../../src/auth/password.ts';
import { defaultApp } from '../../src/cli/generated-pages.ts';
import type { Route } from '../../src/http/route.ts';
import { isOpen, isSafe } from '../../src/http/route-policy.ts';
import { createApiClient } from '../helpers/api-client.ts';
import { mustLogIn, mustRegister, testPassword } from '../helpers/test-api.ts';
import { mustStartApp, type TestApp } from '../helpers/test-app.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const behindProxy = { SECURITY_TRUST_PROXY_HEADERS: 'true' };
const from = (address: string) => ({ 'x-forwarded-for': address });

describe('the routes without authentication', () => {
  let app: TestApp;
  let hashes = 0;
  const cleanUps: (() => Promise<void> | void)[] = [];

  before(async () => {
    const t = { after: (work: () => Promise<void> | void) => void cleanUps.unshift(work) };
    const hasher = createPasswordHasher({ cost: 4 });
    const passwords: PasswordHasher = {
      ...hasher,
      hash: (...args) => {
        hashes += 1;
        return hasher.hash(...args);
      },
      verify: (...args) => {
        hashes += 1;
        return hasher.verify(...args);
      },
    };
    app = await mustStartApp(t, {
      databaseUrl: await mustCreateDatabase(t),
      passwords,
      env: { APP_ENVIRONMENT: 'local', APP_MANAGEMENT_PORT: 'off' },
    });
  });
  after(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });

  it('a route without authentication declares its cost, and has a limit of its own if it has a cost', async () => {
    const open = defaultApp().routes.filter(isOpen);
    assert.ok(open.length > 10);
    for (const route of open) {
      const { operationId, costs = [], limits = [] } = route;
      if (!isSafe(route))
        assert.ok(costs.length > 0, `${operationId} changes something and declares no cost`);
      if (costs.length > 0) assert.ok(limits.length > 0, `${operationId} costs ${costs} and has no limit`);
      const found = await measure(route);
      assert.ok(
        found.every((cost) => costs.some((declared) => declared === cost)),
        `${operationId} costs ${found.join()}, and declares ${costs.join()}`,
      );
    }
  });

  /** Sends the example request of a route, and returns the costs that are observable from outside. */
  async function measure({ method, path, example, limit }: Route): Promise<string[]> {
    hashes = 0;
    const target = path.replace(':id', '1').replace('*name', 'swagger-ui-bundle.js');
    const answer = await fetch(`${app.url}${target}`, {
      method,
      redirect: 'manual',
      ...(example !== undefined && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(example),
      }),
    });
    const bytes = (await answer.arrayBuffer()).byteLength;
    const costs: string[] = [];
    if (hashes > 0) costs.push('password-hash');
    if (bytes > 50_000) costs.push('large-response');
    if (limit === 'exempt') assert.deepEqual(costs, []);
    return costs;
  }
});

describe('registrations', () => {
  it('registrations from one address are limited, and those from another are not affected', async (t) => {
    const app = await mustStartApp(t, {
      databaseUrl: await mustCreateDatabase(t),
      env: { ...behindProxy, SECURITY_RATE_LIMIT_REGISTRATIONS_PER_HOUR: '3' },
    });
    const api = createApiClient(app.api);
    const register = (nth: number, address: string) =>
      api.post(
        '/users',
        { username: `user_${nth}`, email: `user_${nth}@example.org`, password: testPassword },
        from(address),
      );
    const statuses: number[] = [];
    for (let nth = 0; nth < 5; nth += 1) statuses.push((await register(nth, '192.0.2.7')).status);
    assert.deepEqual(statuses, [201, 201, 201, 429, 429]);
    assert.equal((await register(9, '192.0.2.8')).status, 201);
  });

  it('hundreds of registrations from many addresses do not prevent users from signing in', async (t) => {
    // A hash takes about 40 ms, so that 150 of them would fill one line for 3 s.
    const passwords = createPasswordHasher({ cost: 14 });
    const app = await mustStartApp(t, {
      databaseUrl: await mustCreateDatabase(t),
      passwords,
      env: behindProxy,
    });
    const api = createApiClient(app.url);
    const user = await mustRegister(api, 'ada');
    const flood = Promise.all(
      Array.from({ length: 150 }, (_, nth) =>
        api.post(
          '/api/v1/users',
          { username: `flood_${nth}`, email: `flood_${nth}@example.org`, password: testPassword },
          from(`192.0.2.${nth % 30}`),
        ),
      ),
    );
    let flooding = true;
    void flood.then(() => {
      flooding = false;
    });
    for (let nth = 0; nth < 5; nth += 1) await mustLogIn(api, user);
    assert.equal(flooding, true, 'the flood was over before the logins were');
    const statuses = (await flood).map(({ status }) => status);
    assert.ok(statuses.includes(201));
    assert.ok(statuses.every((status) => status === 201 || status === 503));
  });
});
