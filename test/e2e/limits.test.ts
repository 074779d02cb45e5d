import assert from 'node:assert/strict';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { ApiClient } from '../helpers/api-client.ts';
import { eventually } from '../helpers/eventually.ts';
import { startProgram } from '../helpers/program.ts';
import { mustMakeKey, mustServeApi, mustSignIn } from '../helpers/test-api.ts';

test('two workers share the exact limit of a route', async (t) => {
  const program = startProgram(t, { APP_WORKERS: '2' });
  const url = await program.ready;
  await program.logged(/"worker":1.*"event":"process.ready"/);
  await program.logged(/"worker":2.*"event":"process.ready"/);
  const answers = await Promise.all(
    Array.from({ length: 30 }, () =>
      fetch(`${url}/api/v1/auth/login`, { method: 'POST', headers: { connection: 'close' } }),
    ),
  );
  const refused = answers.filter(({ status }) => status === 429);
  assert.equal(refused.length, 20);
  for (const { headers } of refused) assert.match(headers.get('ratelimit') ?? '', /^"login";r=0;t=/);
});

/** Sends requests on one connection, and so to one worker: a primary that hangs distributes no new connections. */
function openConnection(t: TestContext, url: string): () => Promise<IncomingMessage> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  return () =>
    new Promise((resolve, reject) => {
      request(`${url}/api/v1/meta`, { agent }, (response) => {
        response.resume().on('end', () => resolve(response));
      })
        .on('error', reject)
        .end();
    });
}

for (const [onFailure, expected] of [
  ['open', 200],
  ['closed', 503],
] as const) {
  test(`while the primary hangs, a worker with the failure mode ${onFailure} answers with ${expected} and logs the failure`, async (t) => {
    const program = startProgram(t, {
      APP_WORKERS: '2',
      SECURITY_RATE_LIMIT_PER_MINUTE: '1',
      SECURITY_RATE_LIMIT_BURST: '0',
      SECURITY_RATE_LIMIT_ON_FAILURE: onFailure,
    });
    const ask = openConnection(t, await program.ready);
    assert.equal((await ask()).statusCode, 200);
    program.process.kill('SIGSTOP');
    try {
      for (const { statusCode, headers } of [await ask(), await ask()]) {
        assert.equal(statusCode, expected);
        assert.equal(headers['retry-after'], onFailure === 'open' ? undefined : '1');
      }
      await program.logged(/"event":"rate_limit.store_failed"/);
    } finally {
      program.process.kill('SIGCONT');
    }
    await eventually('the limit holds again', async () => (await ask()).statusCode === 429);
  });
}

test('the limit of a user covers all sessions and API keys, and affects no other user', async (t) => {
  const api = await mustServeApi(t, { SECURITY_RATE_LIMIT_USER_PER_MINUTE: '5' });
  const ada = await mustSignIn(api, 'ada');
  const grace = await mustSignIn(api, 'grace');
  const program = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, ['users:read']) });
  const forged = api.withHeaders({ authorization: `${ada.headers.authorization}x` });
  const statuses = async (...clients: ApiClient[]) => {
    const got = [];
    for (const client of clients) got.push((await client.get('/api/v1/users/me')).status);
    return got;
  };
  assert.deepEqual(await statuses(forged, forged, forged), [401, 401, 401]);
  assert.deepEqual(await statuses(ada, program, ada, program, ada, program), [200, 200, 200, 200, 429, 429]);
  assert.deepEqual(await statuses(grace), [200]);

  const [line] = api.app.log.of('rate_limit.exceeded');
  assert.deepEqual([line?.policy, line?.user_id], ['user', ada.user.id]);
});
