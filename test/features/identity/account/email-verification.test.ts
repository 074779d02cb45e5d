import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApiClient, pointersOf } from '../../../helpers/api-client.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { mustReceiveToken } from '../../../helpers/mailed-token.ts';
import {
  mustLogIn,
  mustRegister,
  mustServeApi,
  mustSignIn,
  type SignedIn,
  type TestApi,
  testPassword,
} from '../../../helpers/test-api.ts';
import { mustStartApp } from '../../../helpers/test-app.ts';
import { mustCreateDatabase } from '../../../helpers/test-database.ts';

const subject = /Confirm your e-mail address/;

const confirm = (api: TestApi, token: string) =>
  api.post('/api/v1/auth/email-verification/confirm', { token });

const askAgain = (user: SignedIn) => user.post('/api/v1/auth/email-verification', undefined);

const move = (user: SignedIn, email: string) =>
  user.patch(`/api/v1/users/${user.user.id}`, { email, current_password: testPassword });

describe('an e-mail address', () => {
  it('an address is verified with the token that was mailed to it after the registration', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const before = await ada.get('/api/v1/users/me');
    assert.equal(before.body.email_verified, false);
    const token = await mustReceiveToken(api, ada.user.email, subject);
    assert.equal((await confirm(api, token)).status, 204);
    const verified = await ada.get('/api/v1/users/me');
    assert.equal(verified.body.email_verified, true);
    assert.notEqual(verified.headers.get('etag'), before.headers.get('etag'));
    assert.equal(api.app.log.of('auth.email.verified').length, 1);
  });

  it('a changed address must be verified, and the previous one gets a notice', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    await confirm(api, await mustReceiveToken(api, ada.user.email, subject));
    const moved = await move(ada, 'countess@example.org');
    assert.equal(moved.body.email_verified, false);
    const notice = await api.app.mails.mustReceive(ada.user.email, /address was changed/);
    assert.match(notice.text, /c\*\*\*@example\.org/);
    const token = await mustReceiveToken(api, 'countess@example.org', subject);
    assert.equal((await confirm(api, token)).status, 204);
    assert.equal((await ada.get('/api/v1/users/me')).body.email_verified, true);
  });

  it('a change of only the username sends no mail', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    await api.app.mails.mustReceive(ada.user.email, subject);
    await ada.patch(`/api/v1/users/${ada.user.id}`, { username: 'countess' });
    await askAgain(ada);
    await api.app.mails.mustReceive(ada.user.email, subject);
    assert.equal(api.app.mails.sent.length, 2);
  });
});

describe('a token for an e-mail address', () => {
  it('a token is rejected after a change of the address, even after changing back', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const token = await mustReceiveToken(api, ada.user.email, subject);
    await move(ada, 'countess@example.org');
    const refused = await confirm(api, token);
    assert.equal(refused.status, 422);
    assert.deepEqual(pointersOf(refused), ['/token']);
    await move(ada, ada.user.email.toUpperCase());
    assert.equal((await confirm(api, token)).status, 422);
    await move(ada, ada.user.email);
    assert.equal((await confirm(api, token)).status, 422);
  });

  it('a verification token works once, even if it is used ten times concurrently', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const token = await mustReceiveToken(api, email, subject);
    const answers = await Promise.all(Array.from({ length: 10 }, () => confirm(api, token)));
    assert.equal(answers.filter(({ status }) => status === 204).length, 1);
    assert.equal(answers.filter(({ status }) => status === 422).length, 9);
  });

  it('a verification token expires after a day', async (t) => {
    const api = await mustServeApi(t);
    const { email } = await mustRegister(api, 'ada_lovelace');
    const token = await mustReceiveToken(api, email, subject);
    const { sql } = api.app.database;
    const [row] = await sql`
      update one_time_tokens set created_at = created_at - interval '1 day', expires_at = expires_at - interval '1 day'
      returning expires_at - created_at = interval '1 day' as a_day`;
    assert.equal(row?.a_day, true);
    assert.deepEqual(pointersOf(await confirm(api, token)), ['/token']);
  });

  it('a verification token cannot set a password', async (t) => {
    const api = await mustServeApi(t);
    const user = await mustRegister(api, 'ada_lovelace');
    const token = await mustReceiveToken(api, user.email, subject);
    const body = { token, new_password: 'nine blue whales' };
    assert.deepEqual(pointersOf(await api.post('/api/v1/auth/password-reset/confirm', body)), ['/token']);
    await mustLogIn(api, user);
  });
});

describe('a request for the verification mail', () => {
  it('a request mails another token, at most three per hour including the first', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    const first = await mustReceiveToken(api, ada.user.email, subject);
    for (let nth = 1; nth <= 4; nth += 1) assert.equal((await askAgain(ada)).status, 202);
    const second = await mustReceiveToken(api, ada.user.email, subject);
    await mustReceiveToken(api, ada.user.email, subject);
    assert.equal(api.app.mails.sent.length, 3);
    assert.equal((await confirm(api, second)).status, 204);
    assert.deepEqual(pointersOf(await confirm(api, first)), ['/token'], 'with one the others have ended');
  });

  it('an address gets at most three mails per hour, whichever users have it meanwhile', async (t) => {
    const api = await mustServeApi(t);
    const address = 'victim@example.org';
    const requests = () => api.app.log.of('auth.email.verification_requested').length;
    for (let round = 1; round <= 3; round += 1) {
      const user = { username: `mallory_${round}`, email: address, password: testPassword };
      const registered = await api.post('/api/v1/users', user);
      const mallory = await mustLogIn(api, registered.body);
      await eventually('the mail is made or not', () => requests() === 4 * round - 3);
      const path = `/api/v1/users/${mallory.user.id}`;
      assert.equal((await move(mallory, `elsewhere_${round}@example.org`)).status, 200);
      assert.equal((await move(mallory, 'VICTIM@example.org')).status, 200);
      assert.equal((await askAgain(mallory)).status, 202);
      await eventually('the mails are made or not', () => requests() === 4 * round);
      assert.equal((await mallory.delete(path)).status, 204);
    }
    const mailed = api.app.mails.sent.filter(({ to }) => to.toLowerCase() === address);
    assert.deepEqual(
      mailed.map(({ subject }) => subject),
      Array.from({ length: 3 }, () => 'Strata: Confirm your e-mail address'),
    );
  });

  it('a request for a verified address sends no mail', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada_lovelace');
    await confirm(api, await mustReceiveToken(api, ada.user.email, subject));
    assert.equal((await askAgain(ada)).status, 202);
    const rows = await api.app.database.sql`select from one_time_tokens`;
    assert.equal(rows.length, 1);
  });

  it('a request for the verification mail needs a signed-in user', async (t) => {
    const api = await mustServeApi(t);
    assert.equal((await api.post('/api/v1/auth/email-verification', undefined)).status, 401);
  });
});

describe('where no mail can be sent', () => {
  it('without mail, users can register, and a request for a mail is 503', async (t) => {
    const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), mailer: null });
    const api = { ...createApiClient(app.url), app };
    const ada = await mustSignIn(api, 'ada_lovelace');
    assert.equal((await move(ada, 'countess@example.org')).status, 200);
    const refused = await askAgain(ada);
    assert.equal(refused.status, 503);
    assert.equal(refused.body.code, 'mail_disabled');
  });

  it('a mail that the server rejects does not prevent a registration, and its failure is logged', async (t) => {
    const mailer = {
      send: () => Promise.reject(Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' })),
      close: async () => {},
    };
    const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), mailer });
    await mustRegister({ ...createApiClient(app.url) }, 'ada_lovelace');
    await eventually('the failure is logged', () => app.log.of('mail.deferred').length === 1);
  });
});
