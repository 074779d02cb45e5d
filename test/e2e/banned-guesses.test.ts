import assert from 'node:assert/strict';
import { it } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { mustServeApi, mustSignIn } from '../helpers/test-api.ts';

it('an address that guesses logins is banned, and one whose users mistype or reach their own limit is not', async (t) => {
  const api = await mustServeApi(t, {
    SECURITY_TRUST_PROXY_HEADERS: 'true',
    SECURITY_RATE_LIMIT_USER_PER_MINUTE: '4',
    SECURITY_ENABLE_BAN_LIST: 'true',
    SECURITY_BAN_AUTH_FAILURES: '4',
    SECURITY_BAN_RATE_LIMIT_VIOLATIONS: '6',
  });
  const ada = await mustSignIn(api, 'ada');
  const from = (address: string, headers = {}) => api.withHeaders({ 'x-forwarded-for': address, ...headers });
  const logIn = (address: string, username: string, password: string) =>
    from(address).post('/api/v1/auth/login', { username, password });
  const isBanned = async (address: string) =>
    (await from(address).get('/api/v1/meta')).body.code === 'client_banned';

  // One password for many accounts: no account has a second wrong login.
  for (const name of ['root', 'admin', 'test', 'guest']) {
    assert.equal((await logIn('203.0.113.7', name, 'letmein')).status, 401);
  }
  await eventually('the guessing address is banned', () => isBanned('203.0.113.7'));
  const right = await logIn('203.0.113.7', 'ada', 'correct horse battery staple');
  assert.deepEqual([right.status, right.body.code], [429, 'client_banned']);

  const office = '203.0.113.8';
  // A program that repeats one wrong password, a person who mistypes twice, and a user over a limit that is their own.
  for (let count = 0; count < 5; count += 1) await logIn(office, 'ada', 'an old password');
  await logIn(office, 'grace', 'mistyped');
  await logIn(office, 'grace', 'mistyped again');
  const client = from(office, ada.headers);
  const statuses: number[] = [];
  for (let count = 0; count < 12; count += 1) statuses.push((await client.get('/api/v1/users/me')).status);
  assert.equal(statuses.filter((status) => status === 429).length, 8);

  // The offences of the office arrive before those of a third address, which is banned.
  for (const guess of ['a', 'b', 'c', 'd'])
    await from('203.0.113.9', { 'x-api-key': guess }).get('/api/v1/meta');
  await eventually('the third address is banned', () => isBanned('203.0.113.9'));
  assert.equal(await isBanned(office), false);
  const started = api.app.log.of('ban.started');
  assert.deepEqual(
    started.map(({ client, reason }) => `${client} ${reason}`),
    ['203.0.113.7 authentication', '203.0.113.9 authentication'],
  );
});
