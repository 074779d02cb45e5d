import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { deleteOldTokens } from '../../../../src/features/identity/account/store.ts';
import { type ApiClient, createApiClient, pointersOf } from '../../../helpers/api-client.ts';
import { eventually } from '../../../helpers/eventually.ts';
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
import { mustStartApp } from '../../../helpers/test-app.ts';
import { mustConnect, mustCreateDatabase } from '../../../helpers/test-database.ts';

const newPassword = 'nine blue whales';
const subject = /Set a new password/;

/** Every request may be from an address of its own. */
const behindProxy = { SECURITY_TRUST_PROXY_HEADERS: 'true' };
const from = (address: string) => ({ 'x-forwarded-for': address });

const ask = (api: TestApi, email: string, headers?: Record<string, string>) =>
  api.post('/api/v1/auth/password-reset', { email }, headers);

const confirm = (api: TestApi, token: string, new_password = newPassword, headers?: Record<string, string>) =>
  api.post('/api/v1/auth/password-reset/confirm', { token, new_password }, headers);

const logIn = (api: TestApi, username: string, password: string, headers?: Record<string, string>) =>
  api.post('/api/v1/auth/login', { username, password }, headers);

/** A token that was mailed to a user. */
async function mustAsk(api: TestApi, email: string, headers?: Record<string, string>): Promise<string> {
  const answer = await ask(api, email, headers);
  assert.equal(answer.status, 202, answer.text);
  return mustReceiveToken(api, email, subject);
}

describe('a password reset', () => {
  it('a password reset sets a new password with a mailed token, ends all sessions and verifies the address', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const grace = await mustSignIn(api, 'grace_hopper');
    const token = await mustAsk(api, ada.user.email);
    assert.equal((await confirm(api, token)).status, 204);
    assert.equal((await ada.get('/api/v1/users/me')).status, 401);
    assert.equal((await grace.get('/api/v1/users/me')).status, 200);
    assert.equal((await logIn(api, 'ada_lovelace', testPassword)).status, 401);
    const { body } = await logIn(api, 'ada_lovelace', newPassword);
    const me = await api.get('/api/v1/users/me', { authorization: `Bearer ${body.access_token}` });
    assert.equal(me.body.email_verified, true);
    await api.app.mails.mustReceive(ada.user.email, /password was changed/);
    assert.equal(api.app.log.of('auth.password.reset').length, 1);
  });

  it('a password reset revokes all API keys of the user immediately and notifies the user', async (t) => {
    const api = await mustServeApi(t);
    const [ada, grace] = [await mustSignIn(api, 'ada_lovelace'), await mustSignIn(api, 'grace_hopper')];
    const ofAda = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, ['users:read']) });
    const ofGrace = api.withHeaders({ 'x-api-key': await mustMakeKey(grace, ['users:read']) });
    const status = async (program: ApiClient) => (await program.get('/api/v1/users/me')).status;
    assert.deepEqual([await status(ofAda), await status(ofGrace)], [200, 200]);
    assert.equal((await confirm(api, await mustAsk(api, ada.user.email))).status, 204);
    assert.deepEqual([await status(ofAda), await status(ofGrace)], [401, 200]);
    const { body } = await (await mustLogIn(api, ada.user, newPassword)).get('/api/v1/auth/api-keys');
    assert.deepEqual(body, { items: [] });
    const { text } = await api.app.mails.mustReceive(ada.user.email, /password was changed/);
    assert.match(text, /all API keys of the account are revoked/);
    const [line] = api.app.log.of('auth.api_keys.revoked');
    assert.deepEqual([line?.user_id, line?.count], [ada.user.id, 1]);
  });

  it('a reset request finds the account by its address in any case, and mails to the stored address', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    await ask(api, email.toUpperCase());
    await api.app.mails.mustReceive(email, subject);
  });

  it('an easily guessed new password is rejected, and the token stays valid', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const token = await mustAsk(api, email);
    for (const bad of ['short', 'trustno1', 'ada_lovelace!']) {
      assert.deepEqual(pointersOf(await confirm(api, token, bad)), ['/new_password'], bad);
    }
    assert.equal((await confirm(api, token)).status, 204);
  });

  it('after a reset, the owner can sign in from a new address while other clients guess the password', async (t) => {
    const api = await mustServeApi(t, behindProxy);
    const { email } = await mustRegister(api, 'ada_lovelace');
    for (const login of ['ada_lovelace', email]) await logIn(api, login, 'a wrong guess', from('10.1.0.1'));
    // As after many more of those.
    await api.app.database
      .sql`update login_attempts set next_at = now() + interval '60 s' where address = '*'`;
    const road = from('198.51.100.7');
    assert.equal((await logIn(api, 'ada_lovelace', testPassword, road)).status, 429);
    assert.equal((await confirm(api, await mustAsk(api, email, road), newPassword, road)).status, 204);
    assert.equal((await logIn(api, 'ada_lovelace', newPassword, road)).status, 200);
    assert.equal((await logIn(api, email, newPassword, road)).status, 200);
  });

  it('a concurrent login with the old password keeps no session after a reset', async (t) => {
    const api = await mustServeApi(t, behindProxy);
    for (let round = 0; round < 5; round += 1) {
      const user = await mustRegister(api, `ada_${round}`);
      const here = from(`10.2.0.${round}`);
      const token = await mustAsk(api, user.email, here);
      const [login, reset] = await Promise.all([
        logIn(api, user.username, testPassword, here),
        confirm(api, token, newPassword, here),
      ]);
      assert.equal(reset.status, 204);
      const authorization = `Bearer ${login.body.access_token ?? 'none'}`;
      assert.equal((await api.get('/api/v1/users/me', { authorization })).status, 401);
    }
  });
});

describe('a request for a password reset', () => {
  it('a reset request for an unknown address gets the same response and sends no mail', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const known = await ask(api, email);
    const unknown = await ask(api, 'nobody@example.org');
    assert.deepEqual([unknown.status, unknown.text], [known.status, known.text]);
    await eventually(
      'both are in the log',
      () => api.app.log.of('auth.password.reset_requested').length === 2,
    );
    assert.deepEqual(
      api.app.mails.sent.filter((mail) => subject.test(mail.subject)).map(({ to }) => to),
      [email],
    );
  });

  it('a reset request is answered before the account is looked up', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    await api.app.mails.mustReceive(email);
    await api.app.database.transaction(async (tx) => {
      await tx`lock table users in access exclusive mode`;
      for (const address of [email, 'nobody@example.org'])
        assert.equal((await ask(api, address)).status, 202);
    });
    await api.app.mails.mustReceive(email, subject);
  });

  it('an account gets at most three reset mails per hour, and the response does not reveal it', async (t) => {
    const api = await mustServeApi(t, behindProxy);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, n) => ask(api, email, from(`10.3.0.${n}`))),
    );
    assert.equal(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size, 1);
    const mailed = async (requests: number) => {
      const lines = () => api.app.log.of('auth.password.reset_requested');
      await eventually('all requests are done', () => lines().length === requests);
      return lines().filter((line) => line.mailed === true).length;
    };
    assert.equal(await mailed(6), 3);
    await api.app.database.sql`update one_time_tokens set created_at = created_at - interval '61 minutes'`;
    await ask(api, email, from('10.3.0.9'));
    assert.equal(await mailed(7), 4);
  });

  it('reset requests are limited by address', async (t) => {
    const api = await mustServeApi(t, behindProxy);
    for (let nth = 1; nth <= 5; nth += 1) {
      assert.equal((await ask(api, `nobody${nth}@example.org`, from(`2001:db8::${nth}`))).status, 202);
    }
    assert.equal((await ask(api, 'nobody@example.org', from('2001:db8::99'))).status, 429);
    assert.equal((await ask(api, 'nobody@example.org', from('2001:db8:0:1::1'))).status, 202);
  });

  it('a reset request is rejected without mail and without a database', async (t) => {
    const silent = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), mailer: null });
    const refused = await createApiClient(silent.api).post('/auth/password-reset', {
      email: 'ada@example.org',
    });
    assert.equal(refused.status, 503);
    assert.equal(refused.body.code, 'mail_disabled');
    const empty = await mustStartApp(t);
    const lost = await createApiClient(empty.api).post('/auth/password-reset', { email: 'ada@example.org' });
    assert.equal(lost.body.code, 'database_disabled');
  });
});

describe('a token for a password reset', () => {
  it('a reset token works once, even if it is used ten times concurrently', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustRegister(api, 'ada_lovelace');
    const token = await mustAsk(api, ada.email);
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => confirm(api, token, `${newPassword} ${n}`)),
    );
    const winners = answers.flatMap(({ status }, n) => (status === 204 ? [n] : []));
    assert.equal(winners.length, 1);
    assert.ok(answers.every(({ status }) => status === 204 || status === 422));
    assert.equal((await logIn(api, 'ada_lovelace', `${newPassword} ${winners[0]}`)).status, 200);
    assert.deepEqual(pointersOf(await confirm(api, token)), ['/token']);
  });

  it('a reset token is invalid after another one of the user was used', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const [first, second] = [await mustAsk(api, email), await mustAsk(api, email)];
    assert.equal((await confirm(api, second)).status, 204);
    assert.deepEqual(pointersOf(await confirm(api, first)), ['/token']);
  });

  it('a reset token expires after an hour', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const token = await mustAsk(api, email);
    const [row] = await api.app.database.sql`
      update one_time_tokens set created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour'
      where purpose = 'password_reset' returning expires_at - created_at = interval '1 hour' as an_hour`;
    assert.equal(row?.an_hour, true);
    assert.deepEqual(pointersOf(await confirm(api, token)), ['/token']);
  });

  it('a reset token is invalid after a change of the address', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const token = await mustAsk(api, ada.user.email);
    const patch = { email: 'countess@example.org', current_password: testPassword };
    assert.equal((await ada.patch(`/api/v1/users/${ada.user.id}`, patch)).status, 200);
    assert.deepEqual(pointersOf(await confirm(api, token)), ['/token']);
    await mustLogIn(api, ada.user);
  });

  it('a token of another purpose and a made-up token are rejected with the same message', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const verification = await mustReceiveToken(api, email, /Confirm/);
    const reset = await mustAsk(api, email);
    const tokens = [
      verification,
      `sot_${'A'.repeat(43)}`,
      reset.slice(0, -1),
      reset.toUpperCase(),
      'x',
      `${reset} `,
    ];
    const problems = new Set<string>();
    for (const token of tokens) {
      const refused = await confirm(api, token);
      assert.equal(refused.status, 422);
      problems.add(JSON.stringify(refused.body.errors));
    }
    assert.equal(problems.size, 1);
  });
});

describe('tokens that have expired', async () => {
  const database = mustConnect({ after }, { url: await mustCreateDatabase({ after }) });
  const { sql } = database;

  it('expired tokens are deleted in batches, and valid ones are kept', async () => {
    await sql`insert into users (username, email, password_hash) values ('ada', 'ada@example.org', '-')`;
    await sql`
      insert into one_time_tokens (token_hash, user_id, purpose, email, created_at, expires_at)
      select sha256(n::text::bytea), 1, 'password_reset', 'ada@example.org', now() - interval '2 hours',
        now() + (n - 3.5) * interval '1 hour'
      from generate_series(2, 6) as n`;
    assert.equal(await deleteOldTokens(sql, 1), 1);
    assert.equal(await deleteOldTokens(sql, 10), 1);
    assert.equal(await deleteOldTokens(sql, 10), 0);
    const [left] = await sql`select count(*)::int as tokens from one_time_tokens`;
    assert.equal(left?.tokens, 3);
  });
});
