import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPasswordHasher, type PasswordHasher } from '../../../../src/auth/password.ts';
import { scopes } from '../../../../src/declarations.ts';
import { type ClientResponse, createApiClient, pointersOf } from '../../../helpers/api-client.ts';
import { mustRegister, mustServeApi, mustSignIn, testPassword } from '../../../helpers/test-api.ts';
import { mustStartApp } from '../../../helpers/test-app.ts';
import { mustCreateAuth, testClient } from '../../../helpers/test-auth.ts';
import { mustCreateDatabase } from '../../../helpers/test-database.ts';

const path = '/api/v1/auth/login';
const ada = { username: 'ada', password: testPassword };
const formType = { 'content-type': 'application/x-www-form-urlencoded' };
const rejection = 'The login or the password is wrong: check both, or reset the password.';

/** Sends a request that needs a signed-in user. */
const sessionsWith = (
  api: { get: (path: string, headers?: Record<string, string>) => Promise<ClientResponse> },
  token: string,
) => api.get('/api/v1/auth/sessions', { authorization: `Bearer ${token}` });

describe('signing in', () => {
  it('a login returns a valid access token and a refresh token in the form of RFC 6749', async (t) => {
    const api = await mustServeApi(t, { SECURITY_JWT_EXPIRY_MINUTES: '5' });
    await mustRegister(api, 'ada');
    const answer = await api.post(path, ada);
    assert.equal(answer.status, 200, answer.text);
    const { access_token, refresh_token, ...rest } = answer.body;
    assert.deepEqual(rest, {
      token_type: 'Bearer',
      expires_in: 300,
      scope: scopes.join(' '),
    });
    assert.match(refresh_token, /^srt_[\w-]{80}$/);
    assert.match(answer.headers.get('cache-control') ?? '', /\bno-store\b/);
    assert.equal(answer.headers.get('set-cookie'), null);
    assert.equal((await sessionsWith(api, access_token)).status, 200);
    assert.equal((await sessionsWith(api, refresh_token)).status, 401, 'a refresh token is no access token');
  });

  it('a login accepts the username or the e-mail address in any case', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    for (const username of ['ADA', 'ada@example.org', 'Ada@Example.ORG']) {
      assert.equal((await api.post(path, { ...ada, username })).status, 200, username);
    }
  });

  it('a login accepts the password form of OAuth 2 as the Authorize button of Swagger UI sends it', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const form = new URLSearchParams({
      ...ada,
      grant_type: 'password',
      scope: 'users:read',
      client_id: '',
      client_secret: 'ignored',
    });
    const answer = await api.post(path, form.toString(), { ...formType, authorization: 'Basic Og==' });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.token_type, 'Bearer');
    assert.equal(answer.body.scope, scopes.join(' '), 'the scope that was granted, not the requested one');

    const other = new URLSearchParams({ ...ada, grant_type: 'client_credentials' });
    assert.deepEqual(pointersOf(await api.post(path, other.toString(), formType)), ['/grant_type']);
  });

  it('an expired access token does not prevent a login', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    assert.equal((await api.post(path, ada, { authorization: 'Bearer over' })).status, 200);
  });

  it('a wrong password and an unknown account get the same response', async (t) => {
    const api = await mustServeApi(t);
    const { id } = await mustRegister(api, 'ada');
    const wrong = await api.post(path, { ...ada, password: 'not the password' });
    const unknown = await api.post(path, { ...ada, username: 'nobody' });
    for (const answer of [wrong, unknown]) {
      assert.equal(answer.status, 401);
      assert.deepEqual([answer.body.code, answer.body.detail], ['unauthenticated', rejection]);
      assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/);
    }
    assert.deepEqual(Object.keys(wrong.body), Object.keys(unknown.body));
    const [first, second] = api.app.log.of('auth.login.failed');
    assert.deepEqual(
      [first?.reason, first?.user_id, first?.client_address],
      ['wrong_password', id, '127.0.0.1'],
    );
    assert.deepEqual([second?.reason, second?.user_id], ['unknown_login', undefined]);
  });

  it('invalid credentials fields are 422', async (t) => {
    const api = await mustServeApi(t);
    const refused: [what: string, body: unknown, pointers: string[]][] = [
      ['nothing', {}, ['/username', '/password']],
      ['empty texts', { username: '', password: '' }, ['/username', '/password']],
      ['what is no text', { username: 1, password: ['a'] }, ['/username', '/password']],
      ['a password with NUL', { ...ada, password: 'a\0b' }, ['/password']],
      ['endless texts', { username: 'a'.repeat(255), password: 'a'.repeat(513) }, ['/username', '/password']],
      ['a transport that there is not', { ...ada, transport: 'pigeon' }, ['/transport']],
    ];
    for (const [what, body, pointers] of refused) {
      const answer = await api.post(path, body);
      assert.equal(answer.status, 422, what);
      assert.deepEqual(pointersOf(answer), pointers, what);
    }
    const twice = await api.post(path, 'username=ada&username=eve&password=12345678', formType);
    assert.deepEqual(pointersOf(twice), ['/username']);
  });

  it('a login is logged with its session and without credentials', async (t) => {
    const api = await mustServeApi(t, { APP_DEBUG: 'true' });
    const { id } = await mustRegister(api, 'ada');
    const login = { username: 'ada@example.org', password: testPassword };
    const { body } = await api.post(path, login);
    const form = new URLSearchParams({ ...login, client_secret: 'a secret of the client' });
    await api.post(path, form.toString(), formType);
    await api.post(path, { ...login, password: 'a wrong password' });
    const [line] = api.app.log.of('auth.login.succeeded');
    assert.equal(line?.user_id, id);
    assert.match(String(line?.sid), /^[0-9a-f-]{36}$/);
    const text = api.app.log.text();
    const hidden = [testPassword, 'a wrong password', 'a secret of the client', 'a+secret', 'correct+horse'];
    for (const secret of [
      ...hidden,
      body.access_token,
      body.refresh_token,
      'ada@example.org',
      'ada%40example.org',
    ]) {
      assert.ok(!text.includes(secret), secret);
    }
  });
});

describe('signing in with a cookie', () => {
  it('a login with a cookie sets the refresh token as an HttpOnly cookie and not in the body', async (t) => {
    const api = await mustServeApi(t, { SECURITY_SESSION_IDLE_DAYS: '2' });
    await mustRegister(api, 'ada');
    const answer = await api.post(path, { ...ada, transport: 'cookie' });
    assert.equal(answer.status, 200, answer.text);
    assert.ok(!('refresh_token' in answer.body));
    assert.match(
      answer.headers.get('set-cookie') ?? '',
      /^__Host-refresh=srt_[\w-]{80}; Path=\/; Max-Age=172800; Secure; HttpOnly; SameSite=Strict$/,
    );
    assert.equal((await sessionsWith(api, answer.body.access_token)).body.items[0].transport, 'cookie');
  });

  it('a login with a cookie from a page of a foreign origin is rejected', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const foreign = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example.net' };
    const answer = await api.post(path, { ...ada, transport: 'cookie' }, foreign);
    assert.equal(answer.status, 403);
    assert.equal(answer.body.code, 'cross_origin_refused');
    assert.equal(answer.headers.get('set-cookie'), null);
    assert.equal(
      (await api.post(path, ada, foreign)).status,
      200,
      'the token in the body can be read only by the page that sent the request',
    );
  });
});

describe('signing in over a live refresh cookie', () => {
  const cookieOf = ({ headers }: ClientResponse) => (headers.get('set-cookie') ?? '').split(';')[0] ?? '';

  async function mustHaveCookie(t: Parameters<typeof mustServeApi>[0]) {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const first = await api.post(path, { ...ada, transport: 'cookie' });
    const cookie = cookieOf(first);
    const refresh = (cookie: string) => api.post('/api/v1/auth/refresh', undefined, { cookie });
    return { api, first, cookie, refresh };
  }

  it('a login ends the session of its cookie, and no sessions of other browsers', async (t) => {
    const { api, first, cookie, refresh } = await mustHaveCookie(t);
    const other = cookieOf(await api.post(path, { ...ada, transport: 'cookie' }));
    const second = await api.post(path, { ...ada, transport: 'cookie' }, { cookie });
    assert.equal(second.status, 200);
    assert.equal((await sessionsWith(api, first.body.access_token)).status, 401);
    assert.equal((await refresh(cookie)).status, 401);
    assert.equal((await refresh(cookieOf(second))).status, 200);
    assert.equal((await refresh(other)).status, 200);
  });

  it('a login with the refresh token in the body removes the cookie', async (t) => {
    const { api, cookie, refresh } = await mustHaveCookie(t);
    const second = await api.post(path, ada, { cookie });
    assert.match(second.headers.get('set-cookie') ?? '', /^__Host-refresh=; .*Max-Age=0/);
    assert.match(second.body.refresh_token, /^srt_/);
    assert.equal((await refresh(cookie)).status, 401);
  });

  it('a failed login, or one from a foreign page, ends no session', async (t) => {
    const { api, cookie, refresh } = await mustHaveCookie(t);
    assert.equal((await api.post(path, { ...ada, password: 'wrong' }, { cookie })).status, 401);
    const foreign = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example.net', cookie };
    assert.equal((await api.post(path, ada, foreign)).status, 200);
    assert.equal((await refresh(cookie)).status, 200);
  });
});

describe('guessing', () => {
  it('a few guesses are admitted and further ones get 429, even in parallel', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const guess = (nth: number) => api.post(path, { ...ada, password: `guess number ${nth}` });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, nth) => guess(nth)));
    const throttled = answers.filter(({ status }) => status === 429);
    assert.ok(throttled.length >= 3, `${throttled.length} of 10 had to wait.`);
    for (const { headers } of throttled) assert.ok(Number(headers.get('retry-after')) >= 1);
    assert.equal(answers.filter(({ status }) => status === 401).length, 10 - throttled.length);
  });

  it('guesses at a username continue to count after the user was renamed', async (t) => {
    const api = await mustServeApi(t);
    const user = await mustSignIn(api, 'ada');
    for (let nth = 1; nth <= 5; nth += 1) {
      const guess = { username: user.user.username, password: `guess number ${nth}` };
      assert.equal((await api.post(path, guess)).status, 401);
    }
    // A slow machine is not to let the second pass.
    await api.app.database.sql`update login_attempts set next_at = next_at + interval '60 s'`;
    assert.equal((await user.patch(`/api/v1/users/${user.user.id}`, { username: 'countess' })).status, 200);
    assert.equal((await api.post(path, { username: 'countess', password: 'one more' })).status, 429);
    assert.equal((await api.post(path, { username: 'ada', password: 'one more' })).status, 401);
  });

  it('attempts that fail because too many passwords are being hashed are not counted', async (t) => {
    const busy = createPasswordHasher({ concurrency: 0, maxWaiting: 0 });
    const idle = createPasswordHasher({ cost: 4 });
    let hasher = idle;
    const passwords: PasswordHasher = {
      hash: (...args) => hasher.hash(...args),
      verify: (...args) => hasher.verify(...args),
      needsRehash: (stored) => hasher.needsRehash(stored),
    };
    const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), passwords });
    const api = createApiClient(app.url);
    await mustRegister(api, 'ada');
    hasher = busy;
    for (let nth = 1; nth <= 7; nth += 1) assert.equal((await api.post(path, ada)).status, 503);
    hasher = idle;
    assert.equal((await api.post(path, ada)).status, 200);
  });

  it('a login takes the same time whether or not the account exists', async (t) => {
    const passwords = createPasswordHasher({ cost: 13 });
    const { auth, database, mustAddUser } = await mustCreateAuth(t, { passwords });
    await mustAddUser('ada');
    await database.sql`update users set password_hash = ${await passwords.hash(testPassword)}`;
    const timeOf = async (login: string) => {
      const start = performance.now();
      await assert.rejects(auth.login({ login, password: 'a wrong guess', transport: 'body' }, testClient));
      return performance.now() - start;
    };
    const known: number[] = [];
    const unknown: number[] = [];
    for (let round = 0; round < 31; round += 1) {
      known.push(await timeOf('ada'));
      unknown.push(await timeOf('nobody'));
    }
    const ratio = median(unknown) / median(known);
    assert.ok(ratio > 0.75 && ratio < 1.33, `The medians are ${median(unknown)} and ${median(known)} ms.`);
  });
});

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

it('during a flood of logins, other requests are answered and surplus logins are rejected', async (t) => {
  const passwords = createPasswordHasher({ cost: 13, maxWaiting: 20 });
  const env = { SECURITY_TRUST_PROXY_HEADERS: 'true' };
  const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), env, passwords });
  const api = createApiClient(app.url);
  let running = 100;
  const logins = Array.from({ length: 100 }, async (_, nth) => {
    const answer = await api.post(
      path,
      { ...ada, username: `nobody${nth}` },
      { 'x-forwarded-for': `192.0.2.${nth}` },
    );
    running -= 1;
    return answer;
  });
  const waits: number[] = [];
  while (running > 0) {
    const start = performance.now();
    assert.equal((await api.get('/api/v1/health/live')).status, 200);
    waits.push(performance.now() - start);
  }
  const answers = await Promise.all(logins);
  const statuses = new Set(answers.map(({ status }) => status));
  assert.deepEqual([...statuses].sort(), [401, 503]);
  const busy = answers.filter(({ status }) => status === 503);
  for (const { body, headers } of busy) {
    assert.equal(body.code, 'not_ready');
    assert.ok(Number(headers.get('retry-after')) >= 1);
  }
  assert.ok(median(waits) < 250, `A probe took ${median(waits)} ms.`);
});

describe('a password hash', () => {
  it('a hash with old parameters is renewed once by concurrent logins', async (t) => {
    const passwords = createPasswordHasher({ cost: 6 });
    const { auth, database, log, mustAddUser } = await mustCreateAuth(t, { passwords });
    await mustAddUser('ada');
    const credentials = { login: 'ada', password: testPassword, transport: 'body' } as const;
    await Promise.all(Array.from({ length: 8 }, () => auth.login(credentials, testClient)));
    const [row] = await database.sql<{ password_hash: string }[]>`select password_hash from users`;
    assert.equal(passwords.needsRehash(row?.password_hash ?? ''), false);
    assert.equal(await passwords.verify(testPassword, row?.password_hash ?? ''), true);
    assert.equal(log.of('auth.password.rehashed').length, 1);
    assert.equal(log.of('auth.login.succeeded').length, 8);
  });

  it('a login whose hash is replaced during the comparison fails with the old password', async (t) => {
    const hasher = createPasswordHasher({ cost: 4 });
    const newHash = await hasher.hash('the new password');
    const changes: (() => Promise<unknown>)[] = [];
    const passwords = {
      ...hasher,
      async verify(password: string, stored: string) {
        const matches = await hasher.verify(password, stored);
        await changes.shift()?.();
        return matches;
      },
    };
    const { auth, database, mustAddUser } = await mustCreateAuth(t, { passwords });
    const userId = await mustAddUser('ada');
    changes.push(() =>
      database.transaction(async (tx) => {
        await auth.endUserSessions(tx, userId, { reason: 'password_reset' });
        await tx`update users set password_hash = ${newHash} where id = ${userId}`;
      }),
    );
    const login = (password: string) => auth.login({ login: 'ada', password, transport: 'body' }, testClient);
    await assert.rejects(login(testPassword), { code: 'unauthenticated' });
    assert.equal((await auth.list(userId)).length, 0);

    await login('the new password');
    assert.equal((await auth.list(userId)).length, 1);
  });
});
