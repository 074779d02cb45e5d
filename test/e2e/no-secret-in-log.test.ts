/**
 * A helper searches the log of every test for secrets. These tests use the most verbose log, including bodies, and run every
 * flow with a secret, in success and in failure.
 */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createApiClient } from '../helpers/api-client.ts';
import { assertNoSecretIn, note } from '../helpers/secret-watch.ts';
import { mustServeApi, mustSignIn } from '../helpers/test-api.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };

it('the log contains no secret, password, token or complete e-mail address, even with debugging', async (t) => {
  const api = await mustServeApi(t, { APP_DEBUG: 'true', APP_DATABASE_ECHO: 'true' });
  const { mails, log } = api.app;
  const tokenOf = async (to: string, subject: RegExp) =>
    /\bsot_[\w-]+/.exec((await mails.mustReceive(to, subject)).text)?.[0] ?? assert.fail('no token');

  const ada = await mustSignIn(api, 'ada_lovelace');
  const { email } = ada.user;
  await api.post('/api/v1/auth/email-verification/confirm', { token: await tokenOf(email, /confirm/i) });

  const tokens = await api.post(
    '/api/v1/auth/login',
    `username=${encodeURIComponent(email)}&password=wrong-but-long`,
    form,
  );
  assert.equal(tokens.status, 401);
  await api.post('/api/v1/auth/login', { username: email, password: 'another wrong password' });
  await api.post('/api/v1/auth/login', '{"username":"ada_lovelace","password":"cut off in the mid');
  note('cut off in the mid');

  const cookies = await api.post('/api/v1/auth/login', {
    username: email,
    password: 'correct horse battery staple',
    transport: 'cookie',
  });
  assert.equal(cookies.status, 200);
  const cookie = (cookies.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  assert.equal((await api.post('/api/v1/auth/refresh', {}, { cookie })).status, 200);
  await api.post('/api/v1/auth/refresh', { refresh_token: `srt_${'A'.repeat(80)}` });

  const key = await ada.post('/api/v1/auth/api-keys', { name: 'build', scopes: ['users:read'] });
  const program = createApiClient(api.app.url, { 'x-api-key': key.body.key });
  assert.equal((await program.get('/api/v1/users/me')).status, 200);
  await program.get('/api/v1/users/me?access_token=token-in-a-query&password=password-in-a-query');
  note('token-in-a-query');
  note('password-in-a-query');
  const misplaced = `sot_${'C'.repeat(43)}`;
  await api.get(`/api/v1/users/me?t=${misplaced}&state=${misplaced.replace('_', '%5F')}`);
  await api.get(`/reset/${misplaced}`);
  await api.post(`/api/v1/auth/login?next=${misplaced}`, { username: misplaced, password: 'wrong-but-long' });
  note(misplaced.slice(4));
  await api.get('/api/v1/users/me', { authorization: 'Bearer not.a.token-of-this-server' });
  await api.get('/api/v1/users/me', { authorization: 'Basic YWRhOmNvcnJlY3QgaG9yc2U=' });
  await api.get('/api/v1/users/me', { 'x-api-key': `sak_${'B'.repeat(50)}` });

  const patch = { email: 'ada.lovelace@example.net', current_password: 'not the current password' };
  assert.equal((await ada.patch(`/api/v1/users/${ada.user.id}`, patch)).status, 422);
  const change = {
    current_password: 'correct horse battery staple',
    new_password: 'a second password for ada',
  };
  assert.equal((await ada.post('/api/v1/auth/password', change)).status, 200);
  assert.equal((await api.post('/api/v1/auth/password-reset', { email })).status, 202);
  const reset = { token: await tokenOf(email, /set a new/i), new_password: 'a third password for ada' };
  await api.post('/api/v1/auth/password-reset/confirm', reset);

  assertNoSecretIn(log.text());
  assert.ok(log.of('http.request.body').length > 0, 'bodies were logged');
});

it('a request with a target of 8,000 characters writes two lines of at most 1,400 bytes', async (t) => {
  const { app } = await mustServeApi(t);
  const before = app.log.text().length;
  await fetch(`${app.url}/${'a'.repeat(4000)}?${'b'.repeat(4000)}`);
  const lines = app.log.text().slice(before).trimEnd().split('\n');
  assert.equal(lines.length, 2);
  for (const line of lines) assert.ok(line.length < 1400, `${line.length} bytes`);
});
