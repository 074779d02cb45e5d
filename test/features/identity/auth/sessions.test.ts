import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { deleteEndedSessions } from '../../../../src/features/identity/auth/store.ts';
import { type ClientResponse, createApiClient } from '../../../helpers/api-client.ts';
import { mustRegister, mustServeApi, type TestApi, testPassword } from '../../../helpers/test-api.ts';
import { mustStartApp } from '../../../helpers/test-app.ts';
import {
  idleSeconds,
  maxSeconds,
  mustCreateAuth,
  type TestAuth,
  testClient,
} from '../../../helpers/test-auth.ts';

const at = '/api/v1/auth';

async function mustLogin(
  api: TestApi,
  username: string,
  more: object = {},
  headers = {},
): Promise<ClientResponse> {
  const answer = await api.post(`${at}/login`, { username, password: testPassword, ...more }, headers);
  assert.equal(answer.status, 200, answer.text);
  return answer;
}

const bearer = ({ body }: ClientResponse) => ({ authorization: `Bearer ${body.access_token}` });
const statusOf = async (api: TestApi, login: ClientResponse) =>
  (await api.get(`${at}/sessions`, bearer(login))).status;
const refreshWith = async (api: TestApi, { body }: ClientResponse) =>
  (await api.post(`${at}/refresh`, { refresh_token: body.refresh_token })).status;

describe('the list of sessions', () => {
  it('the list shows all sessions of the user and marks the current one', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    await mustRegister(api, 'grace');
    await mustLogin(api, 'ada', { transport: 'cookie' }, { 'user-agent': `Phone ${'x'.repeat(300)}` });
    const desk = await mustLogin(api, 'ada', {}, { 'user-agent': 'Desk' });
    await mustLogin(api, 'grace');
    const answer = await api.get(`${at}/sessions`, bearer(desk));
    assert.equal(answer.status, 200);
    const [first, second, ...more] = answer.body.items;
    assert.deepEqual(more, []);
    assert.deepEqual(
      [first.user_agent, first.current, first.transport, first.address],
      ['Desk', true, 'body', '127.0.0.1'],
    );
    assert.deepEqual(
      [second.user_agent.length, second.current, second.transport],
      [256, false, 'cookie'],
      'what a client calls itself is cut',
    );
    const { id, created_at, last_used_at, expires_at } = first;
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.equal(created_at, last_used_at);
    assert.equal(Date.parse(expires_at) - Date.parse(created_at), 14 * 86_400_000);
    assert.deepEqual(Object.keys(first).length, 8, 'and nothing that one could sign in with');
  });

  it('the list of sessions needs a signed-in user', async (t) => {
    const api = await mustServeApi(t);
    assert.equal((await api.get(`${at}/sessions`)).status, 401);
    assert.equal((await api.post(`${at}/logout-all`, undefined)).status, 401);
    assert.equal((await api.delete(`${at}/sessions/${randomUUID()}`)).status, 401);
  });
});

describe('ending a session', () => {
  it('ending a session by its id ends only that session', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const phone = await mustLogin(api, 'ada');
    const desk = await mustLogin(api, 'ada');
    const { body } = await api.get(`${at}/sessions`, bearer(phone));
    const own: { id: string } = body.items.find(({ current }: { current: boolean }) => current);
    assert.equal((await api.delete(`${at}/sessions/${own.id}`, bearer(desk))).status, 204);
    assert.equal(await statusOf(api, phone), 401);
    assert.equal(await refreshWith(api, phone), 401);
    assert.equal(await statusOf(api, desk), 200);
    assert.equal((await api.delete(`${at}/sessions/${own.id}`, bearer(desk))).status, 404, 'it has ended');
    const [line] = api.app.log.of('auth.session.ended');
    assert.deepEqual([line?.sid, line?.reason], [own.id, 'revoked']);
  });

  it('ending a session takes effect immediately, with its id in any case', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const login = await mustLogin(api, 'ada');
    const [{ id }] = (await api.get(`${at}/sessions`, bearer(login))).body.items;
    assert.equal((await api.delete(`${at}/sessions/${id.toUpperCase()}`, bearer(login))).status, 204);
    assert.equal(await statusOf(api, login), 401);
  });

  it('ending a session of another user is 404', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    await mustRegister(api, 'eve');
    const ada = await mustLogin(api, 'ada');
    const eve = await mustLogin(api, 'eve');
    const [{ id }] = (await api.get(`${at}/sessions`, bearer(ada))).body.items;
    const answer = await api.delete(`${at}/sessions/${id}`, bearer(eve));
    const nothing = await api.delete(`${at}/sessions/${randomUUID()}`, bearer(eve));
    assert.deepEqual([answer.status, answer.body.detail], [404, nothing.body.detail]);
    assert.equal(await statusOf(api, ada), 200);
    assert.equal((await api.delete(`${at}/sessions/1`, bearer(eve))).status, 422);
  });
});

describe('signing out', () => {
  it('signing out ends the session of the access token', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const login = await mustLogin(api, 'ada');
    assert.equal((await api.post(`${at}/logout`, undefined, bearer(login))).status, 204);
    assert.equal(await statusOf(api, login), 401);
    assert.equal(await refreshWith(api, login), 401);
  });

  it('signing out ends the session of a refresh token, even of a used one, and can be repeated', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const login = await mustLogin(api, 'ada');
    await api.app.database.sql`update sessions set rotated_at = rotated_at - interval '11 s'`;
    assert.equal(await refreshWith(api, login), 200);
    const { refresh_token } = login.body;
    for (const token of [refresh_token, refresh_token, 'srt_nonsense']) {
      assert.equal((await api.post(`${at}/logout`, { refresh_token: token })).status, 204);
    }
    assert.equal((await api.post(`${at}/logout`, undefined)).status, 204);
    assert.equal(await statusOf(api, login), 401);
    assert.equal(api.app.log.of('auth.session.ended').length, 1);
  });

  it('signing out ends the other sessions of the request if the access token has expired', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const over = await mustLogin(api, 'ada');
    assert.equal((await api.post(`${at}/logout`, undefined, bearer(over))).status, 204);
    for (const headers of [
      bearer(over),
      { authorization: 'Bearer nonsense' },
      { authorization: 'Basic YTpi' },
    ]) {
      assert.equal((await api.post(`${at}/logout`, undefined, headers)).status, 204);
      const shown = await mustLogin(api, 'ada');
      const { refresh_token } = shown.body;
      assert.equal((await api.post(`${at}/logout`, { refresh_token }, headers)).status, 204);
      assert.equal(await statusOf(api, shown), 401);

      const browser = await mustLogin(api, 'ada', { transport: 'cookie' });
      const cookie = browser.headers.get('set-cookie')?.split(';')[0] ?? '';
      const answer = await api.post(`${at}/logout`, undefined, { ...headers, cookie });
      assert.equal(answer.status, 204);
      assert.match(answer.headers.get('set-cookie') ?? '', /^__Host-refresh=;/);
      assert.equal(await statusOf(api, browser), 401);
    }
  });

  it('signing out is 503 when the database cannot be asked about the access token', async (t) => {
    const serving = await mustServeApi(t);
    await mustRegister(serving, 'ada');
    const login = await mustLogin(serving, 'ada');
    const lost = createApiClient((await mustStartApp(t)).url);
    assert.equal((await lost.post(`${at}/logout`, undefined, bearer(login))).status, 503);
  });

  it('signing out ends the session of the cookie and removes it, except for a foreign page', async (t) => {
    const api = await mustServeApi(t);
    await mustRegister(api, 'ada');
    const login = await mustLogin(api, 'ada', { transport: 'cookie' });
    const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
    const foreign = await api.post(`${at}/logout`, undefined, { cookie, 'sec-fetch-site': 'cross-site' });
    assert.equal(foreign.status, 403);
    assert.equal(await statusOf(api, login), 200);

    const answer = await api.post(`${at}/logout`, undefined, { cookie, 'sec-fetch-site': 'same-origin' });
    assert.equal(answer.status, 204);
    assert.match(answer.headers.get('set-cookie') ?? '', /^__Host-refresh=; Path=\/; Max-Age=0; Secure/);
    assert.equal(await statusOf(api, login), 401);
  });

  it('signing out everywhere ends all sessions of the caller and none of other users', async (t) => {
    const api = await mustServeApi(t);
    const { id } = await mustRegister(api, 'ada');
    await mustRegister(api, 'grace');
    const phone = await mustLogin(api, 'ada');
    const desk = await mustLogin(api, 'ada');
    const grace = await mustLogin(api, 'grace');
    assert.equal((await api.post(`${at}/logout-all`, undefined, bearer(desk))).status, 204);
    assert.deepEqual([await statusOf(api, phone), await statusOf(api, desk)], [401, 401]);
    assert.equal(await statusOf(api, grace), 200);
    const [line] = api.app.log.of('auth.sessions.ended');
    assert.deepEqual([line?.user_id, line?.count, line?.reason], [id, 2, 'logout_all']);
  });
});

describe('a session', () => {
  const credentials = { login: 'ada', password: testPassword, transport: 'body' } as const;
  const signIn = ({ auth }: TestAuth) => auth.login(credentials, testClient);

  it('a session expires when it is not refreshed, and after its maximum lifetime in any case', async (t) => {
    const made = await mustCreateAuth(t);
    const { auth, clock, loadSession } = made;
    await made.mustAddUser('ada');
    const idle = await signIn(made);
    clock.now += idleSeconds * 1000 - 1;
    assert.notEqual(await loadSession(idle.sessionId), undefined);
    clock.now += 1;
    assert.equal(await loadSession(idle.sessionId), undefined);
    await assert.rejects(auth.refresh(idle.refreshToken, testClient), { code: 'unauthenticated' });

    let grant = await signIn(made);
    const endsAt = clock.now + maxSeconds * 1000;
    const day = 86_400_000;
    for (; clock.now + 5 * day < endsAt; clock.now += 5 * day) {
      grant = await auth.refresh(grant.refreshToken, testClient);
    }
    clock.now = endsAt - 60_000;
    grant = await auth.refresh(grant.refreshToken, testClient);
    assert.deepEqual([grant.expiresIn, grant.sessionExpiresIn], [60, 60], 'no token outlives it');
    clock.now = endsAt;
    await assert.rejects(auth.refresh(grant.refreshToken, testClient), { code: 'unauthenticated' });
    assert.equal(await loadSession(grant.sessionId), undefined);
  });

  it('a session returns the current data of its user', async (t) => {
    const made = await mustCreateAuth(t);
    const userId = await made.mustAddUser('ada');
    const { sessionId } = await signIn(made);
    await made.database.sql`update users set role = 'admin', username = 'countess'`;
    const principal = await made.loadSession(sessionId);
    assert.deepEqual(
      [principal?.userId, principal?.role, principal?.username, principal?.sessionId],
      [userId, 'admin', 'countess', sessionId],
    );
    await made.database.sql`delete from users`;
    assert.equal(await made.loadSession(sessionId), undefined);
    assert.equal(await made.loadSession('no id of ours'), undefined);
  });

  it('the 101st session ends the least recently used one', async (t) => {
    const made = await mustCreateAuth(t);
    const userId = await made.mustAddUser('ada');
    const first = await signIn(made);
    for (let count = 1; count <= 100; count += 1) {
      made.clock.now += 1000;
      await signIn(made);
    }
    assert.equal((await made.auth.list(userId)).length, 100);
    assert.equal(await made.loadSession(first.sessionId), undefined);
    assert.deepEqual(made.forgotten, [first.sessionId]);
    assert.equal(made.log.of('auth.session.ended')[0]?.reason, 'too_many');
  });

  it('all sessions of a user end when the transaction of the caller commits, and not otherwise', async (t) => {
    const made = await mustCreateAuth(t);
    const { auth, database, forgotten } = made;
    const userId = await made.mustAddUser('ada');
    const grants = [await signIn(made), await signIn(made), await signIn(made)];
    const options = { reason: 'password_changed' } as const;
    const undone = database.transaction(async (tx) => {
      await auth.endUserSessions(tx, userId, options);
      throw new Error('undone');
    });
    await assert.rejects(undone, /undone/);
    assert.equal((await auth.list(userId)).length, 3);

    const committed = await database.transaction((tx) => auth.endUserSessions(tx, userId, options));
    assert.deepEqual(forgotten, []);
    committed();
    assert.deepEqual(forgotten.toSorted(), grants.map(({ sessionId }) => sessionId).toSorted());
    assert.equal((await auth.list(userId)).length, 0);
  });

  it('sessions that ended more than 30 days ago are deleted in batches, and no others', async (t) => {
    const made = await mustCreateAuth(t);
    const { auth, clock, database } = made;
    const userId = await made.mustAddUser('ada');
    const day = 86_400_000;
    const now = Date.now();
    const mustEnd = async (daysAgo: number, end: boolean) => {
      clock.now = now - daysAgo * day - (end ? 0 : idleSeconds * 1000);
      const { sessionId } = await signIn(made);
      if (end) await auth.endOne(userId, sessionId);
      return sessionId;
    };
    for (const daysAgo of [31, 32, 33]) await mustEnd(daysAgo, true);
    await mustEnd(31, false);
    const kept = [await mustEnd(29, true), await mustEnd(29, false), await mustEnd(0, false)];
    clock.now = now;
    kept.push((await signIn(made)).sessionId);
    assert.equal(await deleteEndedSessions(database.sql, 3), 3);
    assert.equal(await deleteEndedSessions(database.sql, 3), 1);
    assert.equal(await deleteEndedSessions(database.sql, 3), 0);
    const left = await database.sql<{ id: string }[]>`select id from sessions`;
    assert.deepEqual(left.map(({ id }) => id).toSorted(), kept.toSorted());
  });
});
