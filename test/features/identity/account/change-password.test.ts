import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ApiClient, pointersOf } from '../../../helpers/api-client.ts';
import { mustReceiveToken } from '../../../helpers/mailed-token.ts';
import {
  mustLogIn,
  mustMakeKey,
  mustRegister,
  mustServeApi,
  mustSignIn,
  type TestApi,
  testPassword,
} from '../../../helpers/test-api.ts';

const newPassword = 'nine blue whales';

const change = (api: ApiClient, current_password = testPassword, new_password = newPassword) =>
  api.post('/api/v1/auth/password', { current_password, new_password });

const logIn = (api: ApiClient, username: string, password: string) =>
  api.post('/api/v1/auth/login', { username, password });

/** Makes a wait of one second 51 seconds, so that it does not pass on a slow machine. Beyond 60 s it would not count. */
const lengthenWaits = ({ app }: TestApi) =>
  app.database.sql`update login_attempts set next_at = next_at + interval '50 s'`;

describe('a change of the password', () => {
  it('a password change makes the new password valid and the old one invalid, and notifies the user', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    await api.post('/api/v1/auth/email-verification/confirm', {
      token: await mustReceiveToken(api, ada.user.email, /Confirm/),
    });
    assert.equal((await change(ada)).status, 200);
    assert.equal((await logIn(api, 'ada_lovelace', testPassword)).status, 401);
    assert.equal((await logIn(api, 'ada_lovelace', newPassword)).status, 200);
    const notice = await api.app.mails.mustReceive(ada.user.email, /password was changed/);
    assert.match(notice.text, /^Hello ada_lovelace,/);
    assert.deepEqual(
      api.app.log.of('auth.password.changed').map((line) => line.user_id),
      [ada.user.id],
    );
  });

  it('a password change ends all sessions of the user, opens a new one for the caller, and ends no session of other users', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const elsewhere = await mustLogIn(api, ada.user);
    const grace = await mustSignIn(api, 'grace_hopper');
    const { status: changed, body } = await change(ada);
    assert.equal(changed, 200);
    const renewed = api.withHeaders({ authorization: `Bearer ${body.access_token}` });
    const status = async (client: ApiClient) => (await client.get('/api/v1/users/me')).status;
    assert.deepEqual(await Promise.all([ada, elsewhere, grace, renewed].map(status)), [401, 401, 200, 200]);
    const { items } = (await renewed.get('/api/v1/auth/sessions')).body;
    assert.deepEqual(
      items.map(({ current }: { current: boolean }) => current),
      [true],
    );
  });

  it('a password change returns a new refresh token, and the old one is rejected', async (t) => {
    const api = await mustServeApi(t);
    const user = await mustRegister(api, 'ada_lovelace');
    const { body: before } = await logIn(api, user.username, testPassword);
    const ada = api.withHeaders({ authorization: `Bearer ${before.access_token}` });
    const { body: after } = await change(ada);
    const refresh = (refresh_token: string) => api.post('/api/v1/auth/refresh', { refresh_token });
    assert.notEqual(after.refresh_token, before.refresh_token);
    assert.equal((await refresh(before.refresh_token)).status, 401);
    assert.equal((await refresh(after.refresh_token)).status, 200, 'the old token ended the new session');
  });

  it('a password change sets the new refresh token as a cookie if the old one was a cookie', async (t) => {
    const api = await mustServeApi(t);
    const user = await mustRegister(api, 'ada_lovelace');
    const { body } = await api.post('/api/v1/auth/login', {
      username: user.username,
      password: testPassword,
      transport: 'cookie',
    });
    const answer = await change(api.withHeaders({ authorization: `Bearer ${body.access_token}` }));
    assert.equal(answer.body.refresh_token, undefined);
    assert.match(answer.headers.get('set-cookie') ?? '', /^__Host-refresh=srt_[\w-]{80}; .*HttpOnly/);
  });

  it('a password change keeps the API keys of the user', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const program = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, ['users:read']) });
    assert.equal((await change(ada)).status, 200);
    assert.equal((await program.get('/api/v1/users/me')).status, 200);
  });

  it('a password change with a wrong current password is rejected, and repeated attempts are delayed more and more', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    for (let nth = 1; nth <= 5; nth += 1) {
      const refused = await change(ada, `wrong guess ${nth}`);
      assert.equal(refused.status, 422);
      assert.deepEqual(pointersOf(refused), ['/current_password']);
    }
    const throttled = await change(ada);
    assert.equal(throttled.status, 429);
    assert.equal(throttled.headers.get('retry-after'), '1');
    assert.equal(api.app.log.of('auth.password.change_refused').length, 5);
    assert.equal(api.app.mails.sent.filter(({ subject }) => /changed/.test(subject)).length, 0);
  });

  it('renaming the user does not give more guesses at the current password', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const statuses: number[] = [];
    for (let nth = 1; nth <= 6; nth += 1) {
      const renamed = await ada.patch(`/api/v1/users/${ada.user.id}`, { username: `countess_${nth}` });
      assert.equal(renamed.status, 200);
      statuses.push((await change(ada, `wrong guess ${nth}`)).status);
      await lengthenWaits(api);
    }
    assert.deepEqual(statuses, [422, 422, 422, 422, 422, 429]);
  });

  it('an owner at a known address can change the password while others guess at the username', async (t) => {
    const api = await mustServeApi(t, { SECURITY_TRUST_PROXY_HEADERS: 'true' });
    const user = await mustRegister(api, 'ada_lovelace');
    const home = { 'x-forwarded-for': '198.51.100.7' };
    const { body } = await api.post(
      '/api/v1/auth/login',
      { username: user.email, password: testPassword },
      home,
    );
    await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        logIn(api.withHeaders({ 'x-forwarded-for': `10.1.0.${n}` }), 'ada_lovelace', 'a wrong guess'),
      ),
    );
    await lengthenWaits(api);
    const stranger = api.withHeaders({ 'x-forwarded-for': '10.2.0.1' });
    assert.equal((await logIn(stranger, 'ada_lovelace', 'a wrong guess')).status, 429);
    const ada = api.withHeaders({ ...home, authorization: `Bearer ${body.access_token}` });
    const patch = { email: 'countess@example.org', current_password: testPassword };
    assert.equal((await ada.patch(`/api/v1/users/${user.id}`, patch)).status, 200);
    assert.equal((await logIn(ada, 'ada_lovelace', testPassword)).status, 200);
    assert.equal((await change(ada)).status, 200);
  });

  it('an address that was never verified gets no notice of a password change', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    await api.app.mails.mustReceive(ada.user.email, /Confirm/);
    const { body } = await change(ada);
    const renewed = { authorization: `Bearer ${body.access_token}` };
    await api.post('/api/v1/auth/email-verification', undefined, renewed);
    await api.app.mails.mustReceive(ada.user.email, /Confirm/);
    assert.equal(api.app.mails.sent.length, 2);
  });

  it('an easily guessed new password is rejected', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    for (const bad of ['short', 'trustno1', 'Ada_Lovelace1', 'x'.repeat(129)]) {
      const refused = await change(ada, testPassword, bad);
      assert.equal(refused.status, 422, bad);
      assert.deepEqual(pointersOf(refused), ['/new_password'], bad);
    }
  });

  it('a password change needs a signed-in user', async (t) => {
    const api = await mustServeApi(t);
    assert.equal((await change(api)).status, 401);
  });

  it('of two concurrent password changes with the current password, one succeeds', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const passwords = ['nine blue whales', 'ten green bottles'];
    const answers = await Promise.all(passwords.map((password) => change(ada, testPassword, password)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 422]);
    const winner = passwords[answers.findIndex(({ status }) => status === 200)] ?? '';
    assert.equal((await logIn(api, 'ada_lovelace', winner)).status, 200);
  });

  it('a password change invalidates mailed reset tokens', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    await api.post('/api/v1/auth/password-reset', { email: ada.user.email });
    const token = await mustReceiveToken(api, ada.user.email, /new password/);
    assert.equal((await change(ada)).status, 200);
    const late = await api.post('/api/v1/auth/password-reset/confirm', {
      token,
      new_password: 'ten green bottles',
    });
    assert.equal(late.status, 422);
    assert.deepEqual(pointersOf(late), ['/token']);
  });
});
