import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import type { Database } from '../../../src/db/database.ts';
import { scopes } from '../../../src/declarations.ts';
import { AppError } from '../../../src/errors.ts';
import { createIdentity, type Identity } from '../../../src/features/identity/identity.ts';
import { runInRequest } from '../../../src/observability/request-context.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { mustServeApi, mustSignIn, type SignedIn } from '../../helpers/test-api.ts';
import { mustOpenTestDatabase } from '../../helpers/test-database.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const me = '/api/v1/users/me';

function identityOf(database: Database, env: Readonly<Record<string, string>> = {}): Identity {
  const { settings } = loadSettings({ env: { APP_ENVIRONMENT: 'test', ...env }, envFile: null });
  return createIdentity({
    database,
    log: captureLog().log,
    secrets: [testSecret],
    scopes,
    realm: settings.application.projectName,
    security: settings.security,
  });
}

/** Puts a session of a new user into the database; returns an access token of it. */
async function mustMakeSession({ sql }: Database, { jwt }: Identity): Promise<string> {
  const sessionId = randomUUID();
  const [user] = await sql<{ id: number }[]>`
    insert into users (username, email, password_hash) values ('ada', 'ada@example.org', 'none') returning id`;
  assert.ok(user !== undefined);
  await sql`
    insert into sessions
      (id, user_id, transport, address, user_agent, current_hash, created_at, rotated_at, expires_at, ends_at)
    values (
      ${sessionId}, ${user.id}, 'body', '192.0.2.1', 'test', ${Buffer.alloc(32)}, now(), now(),
      now() + interval '1 day', now() + interval '1 day'
    )`;
  const subject = String(user.id);
  return jwt.sign({ subject, sessionId, lifetimeSeconds: 600 }, Math.floor(Date.now() / 1000));
}

async function open(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const database = await mustOpenTestDatabase(t);
  const identity = identityOf(database, env);
  const token = await mustMakeSession(database, identity);
  const identify = async () => identity.authenticator.identify({ kind: 'bearer', token });
  return { sql: database.sql, identify };
}

describe('the rights of an access token', () => {
  it('an access token has the current rights of its user in the database', async (t) => {
    const { sql, identify } = await open(t);
    await sql`update users set role = 'admin', username = 'countess'`;
    const { role, username } = await identify();
    assert.deepEqual([role, username], ['admin', 'countess']);
  });

  it('without a cache, an access token is rejected as soon as its session has ended elsewhere', async (t) => {
    const { sql, identify } = await open(t, { SECURITY_SESSION_RECHECK_SECONDS: '0' });
    await identify();
    await sql`update sessions set ended_at = now(), end_reason = 'operator'`;
    await assert.rejects(identify(), { code: 'unauthenticated', reason: 'session_over' });
  });

  it('concurrent requests share one look-up, even if the first of them is cancelled', async (t) => {
    const { identify } = await open(t);
    const gone = new AppError('client_gone', 'The client closed the connection.');
    const signal = { aborted: true, reason: gone, addEventListener() {}, removeEventListener() {} };
    const [first, second] = await Promise.all([runInRequest({ id: 'first', signal }, identify), identify()]);
    assert.equal(first, second);
  });
});

describe('over HTTP', () => {
  /** Ends all sessions as another process would, without updating the cache of this one. */
  const endElsewhere = async ({ app }: Awaited<ReturnType<typeof mustServeApi>>) =>
    app.database.sql`update sessions set ended_at = now(), end_reason = 'operator'`;

  it('a session that was ended elsewhere is rejected on every route that authenticates, and no token is logged', async (t) => {
    const api = await mustServeApi(t, { SECURITY_SESSION_RECHECK_SECONDS: '0' });
    const ada = await mustSignIn(api, 'ada');
    assert.equal((await ada.get(me)).status, 200);
    await endElsewhere(api);
    for (const path of [me, '/api/v1/meta', '/api/v1/users', '/api/v1/nothing']) {
      const answer = await ada.get(path);
      assert.equal(answer.status, 401, path);
      assert.equal(answer.body.layer, 'authenticate');
      assert.match(
        answer.headers.get('www-authenticate') ?? '',
        /^Bearer realm="Strata", error="invalid_token"/,
      );
    }
    assert.equal((await ada.get('/api/v1/health/live')).status, 200);
    assert.ok(!api.app.log.text().includes(tokenOf(ada)));
    const [line] = api.app.log.of('auth.credentials.refused');
    assert.deepEqual([line?.reason, typeof line?.request_id], ['session_over', 'string']);
  });

  it('requests with a token look the session up once per recheck interval', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const before = api.app.log.of('database.query').length;
    for (let count = 0; count < 10; count += 1) assert.equal((await ada.get('/api/v1/meta')).status, 200);
    assert.equal(api.app.log.of('database.query').length - before, 1);
  });

  it('an unavailable database is 503 and not 401, so that clients keep their tokens', async (t) => {
    const api = await mustServeApi(t, { SECURITY_SESSION_RECHECK_SECONDS: '0' });
    const ada = await mustSignIn(api, 'ada');
    await api.app.database.close(1);
    const answer = await ada.get('/api/v1/meta');
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get('www-authenticate'), null);
  });

  it('two credentials in one request are 400', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const answer = await ada.get(me, { 'x-api-key': 'sak_nonsense' });
    assert.deepEqual([answer.status, answer.body.code], [400, 'bad_request']);
  });
});

const tokenOf = ({ headers }: SignedIn) => headers.authorization.slice('Bearer '.length);
