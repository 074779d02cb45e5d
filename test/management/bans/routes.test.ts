import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createBanRegistry } from '../../../src/bans/ban-registry.ts';
import { createExemptClients } from '../../../src/bans/exempt-clients.ts';
import { createQueue } from '../../../src/jobs/queue.ts';
import { createManagementServer } from '../../../src/management/server.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { request } from '../../helpers/http-client.ts';

const policy = {
  ...{ violations: 3, failures: 2, windowMs: 60_000, firstMs: 600_000 },
  ...{ growth: 2, maxMs: 86_400_000, forgetMs: 604_800_000 },
};

async function mustListen(t: TestContext, token: string, localToken: string | null) {
  const { log } = captureLog();
  const bans = createBanRegistry({
    rules: { policy, exempt: createExemptClients([]) },
    ...{ log, metrics: createMetrics(), now: () => performance.now() },
  });
  const server = createManagementServer({
    fleet: {
      reports: () => [],
      readiness: async () => ({ ready: true, detail: 'All is well.' }),
      collectMetrics: async () => createMetrics().snapshot(),
    },
    ...{ log, token, bans, host: '127.0.0.1', allowedHosts: [] },
    jobs: {
      source: { database: () => null, queue: createQueue({ definitions: [] }), localToken },
      loopback: true,
    },
  });
  const port = await server.listen(0, '127.0.0.1');
  t.after(() => server.close());
  const ask = (method: string, path: string, sent = '', body?: unknown) =>
    request(port, {
      method,
      path,
      headers: {
        ...(sent === '' ? {} : { authorization: `Bearer ${sent}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const ban = async (sent = '') =>
    (await ask('PUT', '/bans/203.0.113.7', sent, { seconds: 60, reason: 'abuse' })).status;
  return { ask, ban };
}

const right = 'correct-horse-battery';
const wrong = 'another-horse-battery';

test('without a token, bans can be read and not changed', async (t) => {
  const { ask, ban } = await mustListen(t, '', null);
  assert.equal((await ask('GET', '/bans')).status, 200);
  assert.deepEqual([await ban(), (await ask('DELETE', '/bans/203.0.113.7')).status], [403, 403]);
});

test('with the token of a local server, bans can be read without it, and changed with it', async (t) => {
  const { ask, ban } = await mustListen(t, '', right);
  assert.equal((await ask('GET', '/bans')).status, 200);
  assert.deepEqual([await ban(), await ban(wrong), await ban(right)], [401, 401, 200]);
});

test('with a configured token, bans can be read and changed with it only', async (t) => {
  const { ask, ban } = await mustListen(t, right, null);
  assert.deepEqual(
    [(await ask('GET', '/bans')).status, (await ask('GET', '/bans', right)).status],
    [401, 200],
  );
  assert.deepEqual([await ban(), await ban(wrong), await ban(right)], [401, 401, 200]);
});

test('an IPv4 address that is mapped into IPv6 is the same client', async (t) => {
  const { ask, ban } = await mustListen(t, '', right);
  assert.equal(await ban(right), 200);
  const found = await ask('GET', '/bans/::ffff:203.0.113.7');
  assert.equal(found.json.client, '203.0.113.7');
  assert.equal(found.json.reason, 'abuse');
});

test('an address, a duration or a reason that is not valid is rejected with the field', async (t) => {
  const { ask } = await mustListen(t, '', right);
  const pointersOf = async (path: string, body: unknown) => {
    const { status, json } = await ask('PUT', path, right, body);
    return [status, ...json.errors.map(({ pointer }: { pointer: string }) => pointer)];
  };
  const good = { seconds: 60, reason: 'abuse' };
  assert.deepEqual(await pointersOf('/bans/example.com', good), [422, '/client']);
  assert.deepEqual(await pointersOf('/bans/fe80::1%eth0'.replace('%', '%25'), good), [422, '/client']);
  assert.deepEqual(await pointersOf('/bans/203.0.113.7', { seconds: 31_536_001, reason: '' }), [
    422,
    '/seconds',
    '/reason',
  ]);
  assert.deepEqual((await ask('GET', '/bans?limit=501')).status, 422);
  assert.equal(
    (await ask('PUT', '/bans/203.0.113.7', right, { ...good, reason: 'x'.repeat(3_000) })).status,
    413,
  );
});
