import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPasswordHasher } from '../../../../src/auth/password.ts';
import { type ClientResponse, createApiClient, linksOf, pointersOf } from '../../../helpers/api-client.ts';
import { eventually } from '../../../helpers/eventually.ts';
import {
  mustMakeKey,
  mustRegister,
  mustServeApi,
  mustSignIn,
  mustSignInAdmin,
  type TestUser,
  testPassword,
} from '../../../helpers/test-api.ts';
import { mustStartApp } from '../../../helpers/test-app.ts';
import { mustCreateDatabase } from '../../../helpers/test-database.ts';

const users = '/api/v1/users';
const pathOf = ({ id }: TestUser) => `${users}/${id}`;
const idsOf = (body: { readonly items: readonly TestUser[] }) => body.items.map(({ id }) => id);

describe('reading a user', () => {
  it('a user can read its own account by its id and as `me`', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    for (const path of [pathOf(ada.user), `${users}/me`]) {
      const answer = await ada.get(path);
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.body, ada.user);
      assert.equal(answer.headers.get('etag'), `"${ada.user.id}.v1"`);
    }
  });

  it('reading another user is 404 with the same message as for an unknown id', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const grace = await mustRegister(api, 'grace');
    for (const id of [grace.id, 999_999_999]) {
      const path = `${users}/${id}`;
      for (const answer of [
        await ada.get(path),
        await ada.patch(path, { username: 'mine' }),
        await ada.patch(path, { username: 'mine' }, { 'if-match': `"${grace.id}.v9"` }),
        await ada.patch(path, { email: 'mine@example.org' }),
        await ada.delete(path),
      ]) {
        assert.equal(answer.status, 404);
        assert.equal(answer.body.detail, `There is no user with the id ${id}.`);
      }
    }
    const root = await mustSignInAdmin(api, 'root');
    assert.deepEqual((await root.get(pathOf(grace))).body, grace);
    assert.equal((await root.get(`${users}/999999999`)).status, 404);
  });

  it('reading a user without credentials is 401, whether or not the user exists', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustRegister(api, 'ada');
    for (const path of [pathOf(ada), `${users}/999999999`, `${users}/me`, users]) {
      const answer = await api.get(path);
      assert.equal(answer.status, 401, path);
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="Strata"');
    }
  });

  it('reading a user with an invalid id is 422', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    for (const id of ['abc', '0', '-1', '1e1', '1.5', '%201', '9007199254740992', '99999999999999999999']) {
      const rejection = await ada.get(`${users}/${id}`);
      assert.equal(rejection.status, 422, id);
      assert.equal(rejection.body.errors[0].in, 'path');
      assert.deepEqual(pointersOf(rejection), ['/id']);
    }
  });

  it('reading a user is 304 for a client with the current version', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const path = pathOf(ada.user);
    const etag = (await ada.get(path)).headers.get('etag') ?? '';
    assert.equal((await ada.get(path, { 'if-none-match': etag })).status, 304);
    await ada.patch(path, { username: 'later' });
    assert.equal((await ada.get(path, { 'if-none-match': etag })).status, 200);
  });
});

describe('changing a user', () => {
  it('a change of a user changes only the sent fields, and the version', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const path = pathOf(ada.user);
    const answer = await ada.patch(path, { username: 'countess' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('etag'), `"${ada.user.id}.v2"`);
    assert.deepEqual(answer.body, { ...ada.user, username: 'countess', updated_at: answer.body.updated_at });
    assert.ok(answer.body.updated_at >= ada.user.updated_at);
    assert.deepEqual((await ada.get(path)).body, answer.body);
    const [line] = api.app.log.of('user.updated');
    assert.deepEqual(
      [line?.user_id, line?.email, line?.fields, line?.by_user_id],
      [ada.user.id, 'a***@example.org', ['username'], ada.user.id],
    );
  });

  it('a change of a user accepts the media type of merge patches', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const type = { 'content-type': 'application/merge-patch+json' };
    const answer = await ada.patch(pathOf(ada.user), { username: 'merged' }, type);
    assert.equal(answer.status, 200);
    assert.equal(answer.body.username, 'merged');
  });

  it('invalid fields of a change are 422 with the field', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const refused: [what: string, patch: unknown, pointers: string[]][] = [
      ['nothing', {}, ['']],
      ['nothing but the password', { current_password: testPassword }, ['']],
      ['a field that does not exist', { name: 'Ada' }, ['/name']],
      [
        'fields that cannot be changed',
        { id: 1, version: 7, created_at: '', role: 'admin', email_verified: true },
        ['/id', '/version', '/created_at', '/role', '/email_verified'],
      ],
      ['a password, which has a way of its own', { password: testPassword }, ['/password']],
      ['null, which would remove a field', { email: null }, ['/email']],
      ['a username against the rules', { username: 'a b' }, ['/username']],
    ];
    for (const [what, patch, pointers] of refused) {
      await t.test(what, async () => {
        const answer = await ada.patch(pathOf(ada.user), patch);
        assert.equal(answer.status, 422);
        assert.deepEqual(pointersOf(answer), pointers);
      });
    }
  });

  it('a user can change the case of the own name, but cannot take the name of another user', async (t) => {
    const api = await mustServeApi(t);
    const { username, email } = await mustRegister(api, 'ada');
    const grace = await mustSignIn(api, 'grace');
    const path = pathOf(grace.user);
    assert.equal((await grace.patch(path, { username: 'Grace' })).body.username, 'Grace');

    const answer = await grace.patch(path, { username, email, current_password: testPassword });
    assert.equal(answer.status, 409);
    assert.deepEqual(pointersOf(answer), ['/username', '/email']);
    const after = await grace.get(path);
    assert.deepEqual([after.body.username, after.body.email], ['Grace', grace.user.email]);
  });

  it('a change of a user with If-Match needs the current version', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const path = pathOf(ada.user);
    assert.equal(
      (await ada.patch(path, { username: 'first' }, { 'if-match': `"${ada.user.id}.v1"` })).status,
      200,
    );
    const stale = await ada.patch(path, { username: 'second' }, { 'if-match': `"${ada.user.id}.v1"` });
    assert.equal(stale.status, 412);
    assert.equal(stale.body.code, 'precondition_failed');
    assert.equal((await ada.get(path)).body.username, 'first');
    assert.equal((await ada.patch(path, { username: 'third' }, { 'if-match': '*' })).status, 200);
  });

  it('of two concurrent changes with the same version, one succeeds', async (t) => {
    const api = await mustServeApi(t);
    const { sql, transaction } = api.app.database;
    const ada = await mustSignIn(api, 'ada');
    const patches: Promise<ClientResponse>[] = [];
    await transaction(async (tx) => {
      // While this holds the row, both requests come as far as they can.
      await tx`select from users where id = ${ada.user.id} for update`;
      for (const username of ['racer_1', 'racer_2']) {
        patches.push(ada.patch(pathOf(ada.user), { username }, { 'if-match': `"${ada.user.id}.v1"` }));
      }
      await eventually('both requests wait for the row', async () => {
        const waiting = await sql`
          select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return waiting.length === 2;
      });
    });
    const answers = await Promise.all(patches);
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 412]);
  });

  it('a new name is visible immediately, although the credential was cached', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    await ada.patch(pathOf(ada.user), { username: 'countess' });
    assert.equal((await ada.get(pathOf(ada.user))).body.username, 'countess');
    assert.equal((await ada.get(`${users}/me`)).body.username, 'countess');
  });
});

describe('a new e-mail address', () => {
  const email = 'moved@example.org';

  it('a new e-mail address needs the current password and must be verified again', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    await api.app.database.sql`update users set email_verified_at = now()`;
    const path = pathOf(ada.user);
    const named = await ada.patch(path, { username: 'countess', current_password: testPassword });
    assert.equal(named.body.email_verified, true);
    const same = await ada.patch(path, { email: ada.user.email, current_password: testPassword });
    assert.equal(same.body.email_verified, true);
    const moved = await ada.patch(path, { email, current_password: testPassword });
    assert.equal(moved.status, 200);
    assert.deepEqual([moved.body.email, moved.body.email_verified], [email, false]);
  });

  it('a new e-mail address without the right password is rejected at /current_password and changes nothing', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    for (const patch of [{ email }, { email, username: 'mine', current_password: 'not the password' }]) {
      const answer = await ada.patch(pathOf(ada.user), patch);
      assert.equal(answer.status, 422);
      assert.deepEqual(pointersOf(answer), ['/current_password']);
    }
    assert.deepEqual((await ada.get(`${users}/me`)).body, ada.user);
    const [line] = api.app.log.of('auth.email.change_refused');
    assert.equal(line?.user_id, ada.user.id);
  });

  it('several wrong passwords for a new e-mail address are throttled', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const statuses: number[] = [];
    while (statuses.at(-1) !== 429 && statuses.length < 20) {
      const guess = { email, current_password: `guess number ${statuses.length}` };
      statuses.push((await ada.patch(pathOf(ada.user), guess)).status);
    }
    assert.equal(statuses.pop(), 429);
    assert.deepEqual(new Set(statuses), new Set([422]));
    assert.ok(statuses.length <= 6);
    await api.app.database.sql`update login_attempts set next_at = next_at + interval '60 s'`;
    assert.equal((await ada.patch(pathOf(ada.user), { username: 'countess' })).status, 200);
    const renamed = await ada.patch(pathOf(ada.user), { email, current_password: 'one more guess' });
    assert.equal(renamed.status, 429, 'a new name starts no new count');
  });

  it('a new e-mail address is rejected if the password is changed during the comparison, but not if it is only rehashed', async (t) => {
    const hasher = createPasswordHasher({ cost: 4 });
    const meanwhile: (() => Promise<unknown>)[] = [];
    const passwords = {
      ...hasher,
      async verify(password: string, stored: string) {
        const matches = await hasher.verify(password, stored);
        await meanwhile.shift()?.();
        return matches;
      },
    };
    const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), passwords });
    const ada = await mustSignIn(createApiClient(app.url), 'ada');
    const setHash = async (password: string) =>
      app.database.sql`update users set password_hash = ${await hasher.hash(password)}`;
    meanwhile.push(() => setHash(testPassword));
    const patch = { email, current_password: testPassword };
    assert.equal((await ada.patch(pathOf(ada.user), patch)).status, 200);

    meanwhile.push(() => setHash('the new password'));
    const late = await ada.patch(pathOf(ada.user), { ...patch, email: 'late@example.org' });
    assert.equal(late.status, 422);
    assert.deepEqual(pointersOf(late), ['/current_password']);
    assert.equal((await ada.get(`${users}/me`)).body.email, email);
  });

  it('an API key can change the name but not the e-mail address', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const key = await mustMakeKey(ada, ['users:read', 'users:write']);
    const program = api.withHeaders({ 'x-api-key': key });
    const path = pathOf(ada.user);
    assert.equal((await program.patch(path, { username: 'robot' })).status, 200);
    const answer = await program.patch(path, { email, current_password: testPassword });
    assert.equal(answer.status, 403);
    assert.match(answer.body.detail, /sign in/);
    assert.equal((await program.delete(path)).status, 403);
    assert.equal((await program.get(`${users}/me`)).body.email, ada.user.email);
  });

  it('an ended session cannot change the e-mail address, even in a process that has cached it', async (t) => {
    const databaseUrl = await mustCreateDatabase(t);
    const [app, other] = [await mustStartApp(t, { databaseUrl }), await mustStartApp(t, { databaseUrl })];
    const api = { ...createApiClient(app.url), app };
    const [root, ada] = [await mustSignInAdmin(api, 'root'), await mustRegister(api, 'ada')];
    const elsewhere = createApiClient(other.url).withHeaders(root.headers);
    assert.equal((await elsewhere.get(pathOf(ada))).status, 200);
    assert.equal((await root.post('/api/v1/auth/logout', undefined)).status, 204);
    assert.equal((await elsewhere.get(pathOf(ada))).status, 200, 'it is believed for a while');
    assert.equal((await elsewhere.patch(pathOf(ada), { email: 'eve@example.org' })).status, 401);
    assert.equal((await elsewhere.get(pathOf(ada))).status, 401, 'now it is known');
  });

  it('an admin can change the address of another user without a password, and the own one with it', async (t) => {
    const api = await mustServeApi(t);
    const grace = await mustRegister(api, 'grace');
    const root = await mustSignInAdmin(api, 'root');
    assert.equal((await root.patch(pathOf(grace), { email })).body.email, email);
    const [line] = api.app.log.of('user.updated');
    assert.deepEqual([line?.user_id, line?.by_user_id], [grace.id, root.user.id]);
    assert.equal((await root.patch(pathOf(root.user), { email: 'own@example.org' })).status, 422);
  });
});

describe('deleting a user', () => {
  it('deleting a user is 204 and deletes the credentials of the user', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const key = await mustMakeKey(ada, ['users:read']);
    assert.equal((await api.get(`${users}/me`, { 'x-api-key': key })).status, 200);
    const answer = await ada.delete(pathOf(ada.user));
    assert.equal(answer.status, 204);
    assert.equal(answer.text, '');
    assert.equal((await ada.get(`${users}/me`)).status, 401);
    assert.equal((await api.get(`${users}/me`, { 'x-api-key': key })).status, 401);
    const root = await mustSignInAdmin(api, 'root');
    assert.equal((await root.get(pathOf(ada.user))).status, 404);
    assert.equal((await root.delete(pathOf(ada.user))).status, 404);
    assert.deepEqual(
      api.app.log.of('user.deleted').map(({ user_id, email, by_user_id }) => [user_id, email, by_user_id]),
      [[ada.user.id, 'a***@example.org', ada.user.id]],
    );
  });

  it('deleting a user with If-Match needs the current version', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const path = pathOf(ada.user);
    assert.equal((await ada.delete(path, { 'if-match': `"${ada.user.id}.v2"` })).status, 412);
    assert.equal((await ada.get(path)).status, 200);
    assert.equal((await ada.delete(path, { 'if-match': `"${ada.user.id}.v1"` })).status, 204);
  });
});

describe('listing users', () => {
  it('listing users is 403 for a user who is not an admin, and names the required role', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const answer = await ada.get(users);
    assert.equal(answer.status, 403);
    assert.equal(answer.body.detail, 'This needs the role admin.');
    const [line] = api.app.log.of('auth.access.denied');
    assert.deepEqual([line?.user_id, line?.reason, line?.route], [ada.user.id, 'role', users]);
  });

  it('the list of users is sorted newest first, 20 per page by default', async (t) => {
    const api = await mustServeApi(t);
    const root = await mustSignInAdmin(api, 'root');
    const registered: number[] = [root.user.id];
    for (let count = 1; count < 22; count += 1)
      registered.unshift((await mustRegister(api, `user_${count}`)).id);
    const { status, body } = await root.get(users);
    assert.equal(status, 200);
    assert.deepEqual(idsOf(body), registered.slice(0, 20));
    const rest = await root.get(`${users}?cursor=${body.next_cursor}`);
    assert.deepEqual(idsOf(rest.body), registered.slice(20));
    assert.equal(rest.body.next_cursor, null);
    assert.deepEqual(idsOf((await root.get(`${users}?limit=100`)).body), registered);
  });

  it('a client that follows the links sees each user once, while others are created and deleted', async (t) => {
    const api = await mustServeApi(t);
    const root = await mustSignInAdmin(api, 'root');
    const standing: TestUser[] = [root.user];
    for (const name of ['one', 'two', 'three', 'four', 'five', 'six'])
      standing.unshift(await mustRegister(api, name));

    const first = await root.get(`${users}?limit=2`);
    const [, shown, next, , last] = standing;
    assert.ok(shown !== undefined && next !== undefined && last !== undefined);
    await mustRegister(api, 'newcomer');
    for (const gone of [shown, next, last]) await root.delete(pathOf(gone));
    const seen = idsOf(first.body);
    for (let path = linksOf(first).next; path !== undefined; ) {
      const answer = await root.get(path);
      seen.push(...idsOf(answer.body));
      path = linksOf(answer).next;
    }
    const expected = standing.filter((user) => user !== next && user !== last);
    assert.deepEqual(
      seen,
      expected.map(({ id }) => id),
    );
  });

  it('the list of users links back to the previous and the first page', async (t) => {
    const api = await mustServeApi(t);
    const root = await mustSignInAdmin(api, 'root');
    for (const name of ['two', 'three', 'four', 'five']) await mustRegister(api, name);
    const first = await root.get(`${users}?limit=2`);
    assert.deepEqual(Object.keys(linksOf(first)), ['next']);
    const second = await root.get(linksOf(first).next ?? '');
    assert.deepEqual(Object.keys(linksOf(second)), ['next', 'prev', 'first']);
    for (const rel of ['prev', 'first']) {
      assert.deepEqual((await root.get(linksOf(second)[rel] ?? '')).body, first.body);
    }
  });

  it('an invalid limit or cursor of the list of users is 422', async (t) => {
    const api = await mustServeApi(t);
    const root = await mustSignInAdmin(api, 'root');
    for (const query of [
      'limit=0',
      'limit=101',
      'limit=1e1',
      'limit=',
      'limit=%205',
      'limit=5&limit=6',
      'cursor=x',
    ]) {
      const answer = await root.get(`${users}?${query}`);
      assert.equal(answer.status, 422, query);
      assert.equal(answer.body.errors[0].in, 'query');
      assert.deepEqual(pointersOf(answer), [`/${query.split('=')[0]}`]);
    }
  });
});
