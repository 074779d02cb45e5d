import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Authenticator, createAuthenticator, RefusedCredential } from '../../src/auth/authenticator.ts';
import { createJwt } from '../../src/auth/jwt.ts';
import type { ApiKeyPrincipal, SessionPrincipal } from '../../src/auth/principal.ts';
import { AppError } from '../../src/errors.ts';
import { testSecret } from '../helpers/test-secret.ts';

const start = 1_800_000_000;
const lifetimeSeconds = 600;
const recheckMs = 15_000;
const options = { algorithm: 'HS256', issuer: 'strata', audience: 'strata', leewaySeconds: 5 } as const;
const jwt = createJwt({ ...options, secrets: [testSecret] });
const otherJwt = createJwt({ ...options, secrets: [`${testSecret}0`] });

const ada: SessionPrincipal = {
  kind: 'session',
  sessionId: 'session-of-ada',
  userId: 1,
  username: 'ada',
  role: 'user',
};
const robot: ApiKeyPrincipal = {
  kind: 'apiKey',
  keyId: 7,
  userId: 1,
  username: 'ada',
  role: 'user',
  scopes: new Set(['users:read']),
};

/** An authenticator over tables that the test can change, and a clock that stands where the test puts it. */
function world() {
  const clock = { seconds: start };
  const sessions = new Map([[ada.sessionId, ada]]);
  const keys = new Map([['sak_robot', robot]]);
  const loads: string[] = [];
  const authenticator = createAuthenticator({
    jwt,
    async loadSession(id) {
      loads.push(id);
      return sessions.get(id);
    },
    async loadApiKey(key) {
      loads.push(key);
      return keys.get(key);
    },
    recheckMs,
    now: () => clock.seconds * 1000,
  });
  const bearer = async (token: string) => authenticator.identify({ kind: 'bearer', token });
  const apiKey = async (key: string) => authenticator.identify({ kind: 'apiKey', key });
  return { clock, sessions, keys, loads, authenticator, bearer, apiKey };
}

const tokenOf = (subject: string, sessionId: string, by = jwt) =>
  by.sign({ subject, sessionId, lifetimeSeconds }, start);
const token = tokenOf('1', ada.sessionId);

const refused = (reason: string) => (error: unknown) => {
  assert.ok(error instanceof RefusedCredential, String(error));
  assert.equal(error.code, 'unauthenticated');
  assert.equal(error.reason, reason);
  return true;
};

describe('an access token', () => {
  it('stands for the user of its session, as the database has the user now', async () => {
    const { sessions, bearer, clock } = world();
    assert.equal(await bearer(token), ada);
    const admin = { ...ada, role: 'admin', username: 'countess' } as const;
    sessions.set(ada.sessionId, admin);
    clock.seconds += recheckMs / 1000;
    assert.equal(await bearer(token), admin);
  });

  it('is known without a promise when it was checked a moment ago', async () => {
    const { authenticator, bearer, loads } = world();
    await bearer(token);
    assert.equal(authenticator.identify({ kind: 'bearer', token }), ada);
    assert.equal(loads.length, 1);
  });

  it('is checked once for 50 requests that come at the same time', async () => {
    const { bearer, loads } = world();
    const principals = await Promise.all(Array.from({ length: 50 }, () => bearer(token)));
    assert.deepEqual(new Set(principals), new Set([ada]));
    assert.equal(loads.length, 1);
  });

  it('is refused when its session is over, once the last check is old enough', async () => {
    const { sessions, bearer, clock } = world();
    await bearer(token);
    sessions.clear();
    assert.equal(await bearer(token), ada);
    clock.seconds += recheckMs / 1000;
    await assert.rejects(bearer(token), refused('session_over'));
  });

  it('is refused when its session is of another user than it says', async () => {
    const { bearer } = world();
    await assert.rejects(bearer(tokenOf('2', ada.sessionId)), refused('session_over'));
  });

  it('is refused after its end, though its session goes on, and asks the database no more', async () => {
    const { bearer, clock, loads } = world();
    clock.seconds = start + lifetimeSeconds - 1;
    assert.equal(await bearer(token), ada);
    clock.seconds = start + lifetimeSeconds + options.leewaySeconds;
    await assert.rejects(bearer(token), refused('expired'));
    assert.equal(loads.length, 1);
  });

  it('is refused without a question to the database when it is not of this server', async () => {
    const { bearer, loads } = world();
    await assert.rejects(bearer(tokenOf('1', ada.sessionId, otherJwt)), refused('unknown_key'));
    await assert.rejects(bearer(`${token.slice(0, -4)}AAAA`), refused('bad_signature'));
    await assert.rejects(bearer('sak_robot'), refused('malformed'));
    await assert.rejects(bearer(''), refused('malformed'));
    assert.deepEqual(loads, []);
  });

  it('is not refused when the database cannot say: its error is handed on', async () => {
    const away = new AppError('database_unavailable', 'The database is away.');
    const authenticator = createAuthenticator({
      jwt,
      loadSession: () => Promise.reject(away),
      loadApiKey: () => Promise.reject(away),
      recheckMs,
      now: () => start * 1000,
    });
    for (const credential of [
      { kind: 'bearer', token },
      { kind: 'apiKey', key: 'sak_robot' },
    ] as const) {
      await assert.rejects(async () => authenticator.identify(credential), away);
    }
  });
});

describe('an API key', () => {
  it('stands for whom the database says, and is asked for again after the stated time', async () => {
    const { apiKey, keys, clock } = world();
    assert.equal(await apiKey('sak_robot'), robot);
    keys.clear();
    assert.equal(await apiKey('sak_robot'), robot);
    clock.seconds += recheckMs / 1000;
    await assert.rejects(apiKey('sak_robot'), refused('unknown_api_key'));
  });

  it('is no access token, and an access token is no API key, though both were checked a moment ago', async () => {
    const { bearer, apiKey } = world();
    await Promise.all([bearer(token), apiKey('sak_robot')]);
    await assert.rejects(bearer('sak_robot'), refused('malformed'));
    await assert.rejects(apiKey(token), refused('unknown_api_key'));
  });
});

describe('whoever is forgotten', () => {
  const ways: [what: string, forget: (authenticator: Authenticator) => void, left: string[]][] = [
    ['by the session', (authenticator) => authenticator.forgetSession(ada.sessionId), ['key']],
    ['by the API key', (authenticator) => authenticator.forgetApiKey(robot.keyId), ['token']],
    ['by the user', (authenticator) => authenticator.forgetUser(ada.userId), []],
    ['by another session', (authenticator) => authenticator.forgetSession('another'), ['token', 'key']],
    ['by another API key', (authenticator) => authenticator.forgetApiKey(8), ['token', 'key']],
    ['by another user', (authenticator) => authenticator.forgetUser(2), ['token', 'key']],
  ];
  for (const [what, forget, left] of ways) {
    it(`${what} is asked for again at once, and nobody else`, async () => {
      const { authenticator, sessions, keys, bearer, apiKey } = world();
      await Promise.all([bearer(token), apiKey('sak_robot')]);
      sessions.clear();
      keys.clear();
      forget(authenticator);
      const known = async (ask: Promise<unknown>) =>
        ask.then(
          () => true,
          () => false,
        );
      assert.equal(await known(bearer(token)), left.includes('token'));
      assert.equal(await known(apiKey('sak_robot')), left.includes('key'));
    });
  }
});
