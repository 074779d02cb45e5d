import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scopes } from '../../../../src/declarations.ts';
import { type ClientResponse, createApiClient } from '../../../helpers/api-client.ts';
import { mustRegister, mustServeApi, type TestApi, testPassword } from '../../../helpers/test-api.ts';
import { mustStartApp } from '../../../helpers/test-app.ts';
import { mustCreateDatabase } from '../../../helpers/test-database.ts';
import { testSecret } from '../../../helpers/test-secret.ts';

const path = '/api/v1/auth/refresh';
const rejection = 'The refresh token is invalid or has expired: sign in again.';

/** Registers a user and signs in. Returns the tokens. */
async function mustGetTokens(api: TestApi, transport: 'body' | 'cookie' = 'body'): Promise<ClientResponse> {
  await mustRegister(api, 'ada');
  const login = { username: 'ada', password: testPassword, transport };
  const answer = await api.post('/api/v1/auth/login', login);
  assert.equal(answer.status, 200, answer.text);
  return answer;
}

const refresh = (api: TestApi, refresh_token: string) => api.post(path, { refresh_token });

/** Lets time pass, as the sessions see it. */
async function pass({ app }: TestApi, seconds: number): Promise<void> {
  await app.database.sql`update sessions set rotated_at = rotated_at - make_interval(secs => ${seconds})`;
}

const statusWith = async (api: TestApi, accessToken: string) =>
  (await api.get('/api/v1/auth/sessions', { authorization: `Bearer ${accessToken}` })).status;

/** The cookie as the browser sends it back. */
const cookieOf = ({ headers }: ClientResponse) => headers.get('set-cookie')?.split(';')[0] ?? '';

describe('a refresh', () => {
  it('a refresh returns new valid tokens', async (t) => {
    const api = await mustServeApi(t);
    const { body: first } = await mustGetTokens(api);
    await pass(api, 11);
    const answer = await refresh(api, first.refresh_token);
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get('cache-control') ?? '', /\bno-store\b/);
    const { access_token, refresh_token, ...rest } = answer.body;
    assert.deepEqual(rest, {
      token_type: 'Bearer',
      expires_in: 3600,
      scope: scopes.join(' '),
    });
    assert.notEqual(refresh_token, first.refresh_token);
    assert.notEqual(access_token, first.access_token);
    assert.equal(await statusWith(api, access_token), 200);
    assert.equal(await statusWith(api, first.access_token), 200, 'the old access token runs out by itself');
    await pass(api, 11);
    assert.equal((await refresh(api, refresh_token)).status, 200);
  });

  it('a refresh accepts the form of RFC 6749', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: body.refresh_token });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    assert.equal((await api.post(path, form.toString(), headers)).status, 200);
  });

  it('a refresh with a token younger than ten seconds returns the same token', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    const again = await refresh(api, body.refresh_token);
    assert.equal(again.status, 200);
    assert.equal(again.body.refresh_token, body.refresh_token);
  });

  it('a refresh token used twice within ten seconds returns the same successor', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    await pass(api, 11);
    const first = await refresh(api, body.refresh_token);
    const second = await refresh(api, body.refresh_token);
    assert.equal(second.status, 200, second.text);
    assert.equal(second.body.refresh_token, first.body.refresh_token);
    assert.equal(await statusWith(api, second.body.access_token), 200);
    assert.equal(api.app.log.of('auth.refresh.replayed').length, 1);
  });

  it('after a clock was ahead and is set back, tokens are rotated and used ones rejected', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    await pass(api, 11);
    const first = await refresh(api, body.refresh_token);
    await api.app.database.sql`update sessions set rotated_at = rotated_at + interval '1 day'`;
    const second = await refresh(api, first.body.refresh_token);
    assert.equal(second.status, 200);
    assert.notEqual(second.body.refresh_token, first.body.refresh_token);
    await api.app.database.sql`update sessions set rotated_at = rotated_at + interval '1 day'`;
    assert.equal((await refresh(api, first.body.refresh_token)).status, 401);
  });

  it('50 parallel refreshes with the same token keep the session and return the same successor', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    await pass(api, 11);
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(api, body.refresh_token)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    const successors = new Set(answers.map((answer) => answer.body.refresh_token));
    assert.equal(successors.size, 1);
    const [successor = ''] = successors;
    assert.notEqual(successor, body.refresh_token);
    await pass(api, 11);
    assert.equal((await refresh(api, successor)).status, 200);
  });

  it('a reused refresh token ends the session and is logged', async (t) => {
    const api = await mustServeApi(t);
    const { body: stolen } = await mustGetTokens(api);
    await pass(api, 11);
    const { body: next } = await refresh(api, stolen.refresh_token);
    await pass(api, 11);
    const answer = await refresh(api, stolen.refresh_token);
    assert.equal(answer.status, 401);
    assert.equal(answer.body.detail, rejection);
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/);
    assert.equal((await refresh(api, next.refresh_token)).status, 401);
    assert.equal(await statusWith(api, next.access_token), 401, 'at once, in this process');

    const [line] = api.app.log.of('auth.refresh.reused');
    assert.equal(line?.level, 'warning');
    assert.deepEqual(
      [line?.client_address, typeof line?.sid, typeof line?.user_id],
      ['127.0.0.1', 'string', 'number'],
    );
    const [row] = await api.app.database.sql<{ end_reason: string }[]>`select end_reason from sessions`;
    assert.equal(row?.end_reason, 'refresh_reused');
  });

  it('a refresh token from several steps ago ends the session', async (t) => {
    const api = await mustServeApi(t);
    const { body: first } = await mustGetTokens(api);
    let token = first.refresh_token;
    for (let step = 0; step < 3; step += 1) {
      await pass(api, 11);
      token = (await refresh(api, token)).body.refresh_token;
    }
    assert.equal(
      (await refresh(api, first.refresh_token)).status,
      401,
      'also within the window of the latest',
    );
    assert.equal((await refresh(api, token)).status, 401);
    assert.equal(api.app.log.of('auth.refresh.reused').length, 1);
  });

  it('a forged refresh token is rejected and ends no session', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    const forged = `${body.refresh_token.slice(0, -4)}AAAA`;
    for (const token of [
      '',
      'srt_',
      'x'.repeat(84),
      `srt_${'A'.repeat(80)}`,
      forged,
      body.access_token.slice(0, 200),
    ]) {
      const answer = await refresh(api, token);
      assert.equal(answer.status, 401, token);
      assert.equal(answer.body.detail, rejection);
    }
    assert.equal((await refresh(api, body.refresh_token)).status, 200);
    assert.equal(api.app.log.of('auth.refresh.reused').length, 0);
  });

  it('a refresh without a token is 401, and with an invalid field 422', async (t) => {
    const api = await mustServeApi(t);
    assert.equal((await api.post(path, {})).status, 401);
    assert.equal((await api.post(path, undefined)).status, 401);
    assert.equal((await api.post(path, { refresh_token: 7 })).status, 422);
    assert.equal((await api.post(path, { refresh_token: 'x'.repeat(201) })).status, 422);
  });

  it('an expired access token does not prevent a refresh', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    const { refresh_token } = body;
    assert.equal((await api.post(path, { refresh_token }, { authorization: 'Bearer over' })).status, 200);
  });

  it('sessions survive a change of the secrets, and copies of newer tokens are detected', async (t) => {
    const databaseUrl = await mustCreateDatabase(t);
    const mustStart = async (secret: string): Promise<TestApi> => {
      const app = await mustStartApp(t, { databaseUrl, env: { SECURITY_JWT_SECRET: secret } });
      return { ...createApiClient(app.url), app };
    };
    const { body: first } = await mustGetTokens(await mustStart(testSecret));
    const api = await mustStart(testSecret.split('').reverse().join(''));
    await pass(api, 11);
    const second = await refresh(api, first.refresh_token);
    assert.equal(second.status, 200);
    await pass(api, 11);
    const third = await refresh(api, second.body.refresh_token);
    assert.equal((await refresh(api, first.refresh_token)).status, 401);
    assert.equal(
      (await refresh(api, third.body.refresh_token)).status,
      200,
      'the old secrets prove nothing now',
    );
    await pass(api, 11);
    assert.equal((await refresh(api, second.body.refresh_token)).status, 401);
    assert.equal((await refresh(api, third.body.refresh_token)).status, 401, 'the new ones do');
  });
});

describe('a refresh by cookie', () => {
  it('a refresh by cookie sets the next cookie and returns an access token', async (t) => {
    const api = await mustServeApi(t);
    const first = await mustGetTokens(api, 'cookie');
    await pass(api, 11);
    const headers = { cookie: `theme=dark; ${cookieOf(first)}`, 'sec-fetch-site': 'same-origin' };
    const answer = await api.post(path, undefined, headers);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(!('refresh_token' in answer.body));
    assert.match(cookieOf(answer), /^__Host-refresh=srt_[\w-]{80}$/);
    assert.notEqual(cookieOf(answer), cookieOf(first));
    assert.equal(await statusWith(api, answer.body.access_token), 200);
    assert.equal((await api.post(path, {}, { cookie: cookieOf(answer) })).status, 200, 'also by no browser');
  });

  it('a refresh by cookie is rejected for foreign origins and accepted for allowed ones', async (t) => {
    const api = await mustServeApi(t, { APP_CORS_ALLOW_ORIGINS: 'https://app.example.com' });
    const cookie = cookieOf(await mustGetTokens(api, 'cookie'));
    const from = (origin: string) => api.post(path, {}, { cookie, 'sec-fetch-site': 'same-site', origin });
    const answer = await from('https://evil.example.com');
    assert.equal(answer.status, 403);
    assert.equal(answer.body.code, 'cross_origin_refused');
    assert.equal((await from('https://app.example.com')).status, 200);
  });

  it('a cookie is ignored if the body has a refresh token', async (t) => {
    const api = await mustServeApi(t);
    const { body } = await mustGetTokens(api);
    const { refresh_token } = body;
    const headers = { cookie: '__Host-refresh=srt_other', 'sec-fetch-site': 'cross-site' };
    const answer = await api.post(path, { refresh_token }, headers);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('set-cookie'), null);
  });
});
