import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Authenticator, CredentialError, createAuthenticator } from '../../src/auth/authenticator.ts';
import { createJwt } from '../../src/auth/jwt/jwt.ts';
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

/** Creates an authenticator over tables that the test can change, with a clock that the test sets. */
function setUp() {
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
  assert.ok(error instanceof CredentialError, String(error));
  assert.equal(error.code, 'unauthenticated');
  assert.equal(error.reason, reason);
  return true;
};

describe('an access token', () => {
  it('an access token gives the current user of its session in the database', async () => {
    const { sessions, bearer, clock } = setUp();
    assert.equal(await bearer(token), ada);
    const admin = { ...ada, role: 'admin', username: 'countess' } as const;
    sessions.set(ada.sessionId, admin);
    clock.seconds += recheckMs / 1000;
    assert.equal(await bearer(token), admin);
  });

  it('an access token that was just checked is identified synchronously', async () => {
    const { authenticator, bearer, loads } = setUp();
    await bearer(token);
    assert.equal(authenticator.identify({ kind: 'bearer', token }), ada);
    assert.equal(loads.length, 1);
  });

  it('50 concurrent requests with an access token share one look-up', async () => {
    const { bearer, loads } = setUp();
    const principals = await Promise.all(Array.from({ length: 50 }, () => bearer(token)));
    assert.deepEqual(new Set(principals), new Set([ada]));
    assert.equal(loads.length, 1);
  });

  it('an access token whose session is over is rejected after the recheck time', async () => {
    const { sessions, bearer, clock } = setUp();
    await bearer(token);
    sessions.clear();
    assert.equal(await bearer(token), ada);
    clock.seconds += recheckMs / 1000;
    await assert.rejects(bearer(token), refused('session_over'));
  });

  it('an access token is rejected if its session belongs to another user', async () => {
    const { bearer } = setUp();
    await assert.rejects(bearer(tokenOf('2', ada.sessionId)), refused('session_over'));
  });

  it('an expired access token of a running session is rejected without a look-up', async () => {
    const { bearer, clock, loads } = setUp();
    clock.seconds = start + lifetimeSeconds - 1;
    assert.equal(await bearer(token), ada);
    clock.seconds = start + lifetimeSeconds + options.leewaySeconds;
    await assert.rejects(bearer(token), refused('expired'));
    assert.equal(loads.length, 1);
  });

  it('an access token of another server is rejected without a look-up', async () => {
    const { bearer, loads } = setUp();
    await assert.rejects(bearer(tokenOf('1', ada.sessionId, otherJwt)), refused('unknown_key'));
    await assert.rejects(bearer(`${token.slice(0, -4)}AAAA`), refused('bad_signature'));
    await assert.rejects(bearer('sak_robot'), refused('malformed'));
    await assert.rejects(bearer(''), refused('malformed'));
    assert.deepEqual(loads, []);
  });

  it('an error of the database does not reject the access token, and passes unchanged', async () => {
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
  it('an API key gives its principal in the database, and is looked up again after the recheck time', async () => {
    const { apiKey, keys, clock } = setUp();
    assert.equal(await apiKey('sak_robot'), robot);
    keys.clear();
    assert.equal(await apiKey('sak_robot'), robot);
    clock.seconds += recheckMs / 1000;
    await assert.rejects(apiKey('sak_robot'), refused('unknown_api_key'));
  });

  it('a cached API key is not accepted as an access token, nor a cached access token as an API key', async () => {
    const { bearer, apiKey } = setUp();
    await Promise.all([bearer(token), apiKey('sak_robot')]);
    await assert.rejects(bearer('sak_robot'), refused('malformed'));
    await assert.rejects(apiKey(token), refused('unknown_api_key'));
  });
});

describe('a forgotten credential', () => {
  const invalidations: [what: string, forget: (authenticator: Authenticator) => void, left: string[]][] = [
    ['by the session', (authenticator) => authenticator.forgetSession(ada.sessionId), ['key']],
    ['by the API key', (authenticator) => authenticator.forgetApiKey(robot.keyId), ['token']],
    ['by the user', (authenticator) => authenticator.forgetUser(ada.userId), []],
    ['by another session', (authenticator) => authenticator.forgetSession('another'), ['token', 'key']],
    ['by another API key', (authenticator) => authenticator.forgetApiKey(8), ['token', 'key']],
    ['by another user', (authenticator) => authenticator.forgetUser(2), ['token', 'key']],
  ];
  for (const [what, forget, left] of invalidations) {
    it(`only credentials forgotten ${what} are looked up again`, async () => {
      const { authenticator, sessions, keys, bearer, apiKey } = setUp();
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
