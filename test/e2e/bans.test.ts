import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { mustCopyProgram, startProgram } from '../helpers/program.ts';

const token = 'management-token-of-the-test';

const env = {
  APP_WORKERS: '2',
  APP_MANAGEMENT_PORT: '0',
  APP_MANAGEMENT_TOKEN: token,
  SECURITY_TRUST_PROXY_HEADERS: 'true',
  SECURITY_RATE_LIMIT_PER_MINUTE: '5',
  SECURITY_RATE_LIMIT_BURST: '0',
  SECURITY_ENABLE_BAN_LIST: 'true',
  SECURITY_BAN_RATE_LIMIT_VIOLATIONS: '10',
  SECURITY_BAN_AUTH_FAILURES: '3',
};

it('a client that goes on over the limit is banned by both workers, for longer than a reload takes, until an operator lifts it', async (t) => {
  const folder = await mustCopyProgram(t);
  const program = startProgram(t, env, [], folder);
  const [url, management] = await Promise.all([program.ready, program.management]);
  const ask = (forwarded: string, headers: Record<string, string> = {}) =>
    // A connection of its own for each request, so that both workers get some.
    fetch(`${url}/api/v1/meta`, {
      headers: { 'X-Forwarded-For': forwarded, Connection: 'close', ...headers },
    });
  const isBanned = async (client: string) => /"code":"client_banned"/.test(await (await ask(client)).text());
  const bothBan = async (client: string) => {
    for (let index = 0; index < 12; index += 1) if (!(await isBanned(client))) return false;
    return true;
  };
  const desk = async (method: string, path = '', body?: unknown, authorization = `Bearer ${token}`) => {
    const response = await fetch(`${management}/bans${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, json: text === '' ? undefined : JSON.parse(text) };
  };

  // The address that the client forges is not banned, but the one that the proxy has added.
  await eventually('the client is banned', () => isBanned('198.51.100.1, 203.0.113.7'));
  await eventually('both workers ban it', () => bothBan('203.0.113.7'));
  assert.equal((await ask('198.51.100.1')).status, 200, 'the forged address');
  const refused = await ask('203.0.113.7');
  assert.equal(refused.status, 429);
  const retryAfter = Number(refused.headers.get('retry-after'));
  assert.ok(retryAfter > 500 && retryAfter <= 600, `${retryAfter}`);
  assert.equal(refused.headers.get('x-content-type-options'), 'nosniff');
  const problem = JSON.parse(await refused.text());
  assert.equal(problem.type, 'urn:strata:problem:client-banned');
  assert.deepEqual([problem.layer, problem.instance], ['ban-list', '/api/v1/meta']);
  assert.ok(problem.request_id);
  assert.equal(
    (await fetch(`${url}/api/v1/health/live`, { headers: { 'X-Forwarded-For': '203.0.113.7' } })).status,
    200,
  );
  // Without the header, the address is the proxy's own: it is never banned.
  for (let index = 0; index < 40; index += 1) await ask('');
  assert.equal((await desk('GET', '/127.0.0.1')).status, 404);

  const guess = (index: number) => ask(`2001:db8:0:9::${index}`, { authorization: `Bearer wrong-${index}` });
  for (const index of [1, 2, 3]) assert.equal((await guess(index)).status, 401);
  await eventually('the whole network is banned for guessing', () => bothBan('2001:db8:0:9:ffff::1'));
  for (let index = 0; index < 4; index += 1) {
    assert.equal((await ask('203.0.113.9', { authorization: 'Bearer the-same-wrong-one' })).status, 401);
  }

  const list = await desk('GET', '?limit=1');
  assert.equal(list.json.total, 2);
  assert.deepEqual(
    [list.json.bans[0].client, list.json.bans[0].cause, list.json.bans[0].count],
    ['2001:db8:0:9::/64', 'authentication', 1],
  );
  const rest = await desk('GET', `?limit=1&before=${list.json.before}`);
  assert.deepEqual([rest.json.bans[0].client, rest.json.before], ['203.0.113.7', null]);
  assert.equal((await desk('GET', '', undefined, '')).status, 401);
  assert.equal((await desk('PUT', '/203.0.113.8', { seconds: 60, reason: 'abuse' }, '')).status, 401);

  assert.equal((await desk('PUT', '/203.0.113.8', { seconds: 60, reason: 'abuse' })).json.reason, 'abuse');
  await eventually('both workers ban by hand', () => bothBan('203.0.113.8'));
  assert.equal((await desk('PUT', '/127.0.0.1', { seconds: 60, reason: 'me' })).status, 409);
  assert.equal((await desk('PUT', '/nobody', { seconds: 60, reason: 'x' })).status, 422);
  assert.equal((await desk('PUT', '/203.0.113.8', { seconds: 0, reason: 'x' })).status, 422);

  await writeFile(join(folder, '.env'), 'SECURITY_BAN_ALLOWED_ADDRESSES=203.0.113.8\n');
  program.process.kill('SIGHUP');
  await program.logged(/"event":"reload.completed"/);
  assert.ok(await bothBan('203.0.113.7'), 'the bans survive a reload');
  assert.equal(await isBanned('203.0.113.8'), false, 'except those of the new allow list');
  assert.match(program.stdout(), /"client":"203\.0\.113\.8","how":"exempt","event":"ban\.ended"/);

  assert.equal((await desk('DELETE', '/203.0.113.7')).status, 204);
  assert.equal((await desk('DELETE', '/203.0.113.7')).status, 404);
  await eventually('the ban is lifted', async () => !(await isBanned('203.0.113.7')));
  assert.equal((await desk('DELETE', '/2001:db8:0:9::5')).status, 204);

  assert.equal(program.stdout().split('"event":"ban.started"').length - 1, 3);
  assert.match(
    program.stdout(),
    /"client_address":"203\.0\.113\.7","code":"client_banned","layer":"ban-list"/,
  );
  const metrics = await (
    await fetch(`${management}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  ).text();
  assert.match(metrics, /^bans_active 0$/m);
  assert.match(metrics, /^bans_started_total\{reason="rate_limit"\} 1$/m);
  assert.match(metrics, /^bans_started_total\{reason="authentication"\} 1$/m);
  assert.match(metrics, /^ban_rejections_total \d\d+$/m);
});
