import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ApiAnswer, linksOf, pointersOf } from '../../helpers/api-client.ts';
import { eventually } from '../../helpers/eventually.ts';
import { mustRegister, mustServeApi, type TestUser, testPassword } from '../../helpers/test-api.ts';

const users = '/api/v1/users';
const pathOf = ({ id }: TestUser) => `${users}/${id}`;
const idsOf = (body: { readonly items: readonly TestUser[] }) => body.items.map(({ id }) => id);

describe('reading a user', () => {
  it('is 404 for an id that nobody has, and 422 for what is no id', async (t) => {
    const api = await mustServeApi(t);
    const answer = await api.get(`${users}/999999999`);
    assert.equal(answer.status, 404);
    assert.equal(answer.body.detail, 'There is no user with the id 999999999.');

    for (const id of ['abc', '0', '-1', '1e1', '1.5', '%201', '9007199254740992', '99999999999999999999']) {
      const refusal = await api.get(`${users}/${id}`);
      assert.equal(refusal.status, 422, id);
      assert.equal(refusal.body.errors[0].in, 'path');
      assert.deepEqual(pointersOf(refusal), ['/id']);
    }
  });

  it('is 304 for a client that has the current version', async (t) => {
    const api = await mustServeApi(t);
    const path = pathOf(await mustRegister(api, 'ada'));
    const etag = (await api.get(path)).headers.get('etag') ?? '';
    assert.equal((await api.get(path, { 'if-none-match': etag })).status, 304);
    await api.patch(path, { email: 'later@example.org' });
    assert.equal((await api.get(path, { 'if-none-match': etag })).status, 200);
  });
});

describe('changing a user', () => {
  it('changes what is sent, leaves the rest, and gives a new version', async (t) => {
    const api = await mustServeApi(t);
    const before = await mustRegister(api, 'ada');
    const answer = await api.patch(pathOf(before), { username: 'countess' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('etag'), '"v2"');
    assert.deepEqual(answer.body, { ...before, username: 'countess', updated_at: answer.body.updated_at });
    assert.ok(answer.body.updated_at >= before.updated_at);
    assert.deepEqual((await api.get(pathOf(before))).body, answer.body);
    const [line] = api.app.log.of('user.updated');
    assert.deepEqual(
      [line?.user_id, line?.email, line?.fields],
      [before.id, 'a***@example.org', ['username']],
    );
  });

  it('takes a merge patch under its own media type', async (t) => {
    const api = await mustServeApi(t);
    const path = pathOf(await mustRegister(api, 'ada'));
    const patch = { email: 'merged@example.org' };
    const answer = await api.patch(path, patch, { 'content-type': 'application/merge-patch+json' });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.email, 'merged@example.org');
  });

  it('refuses with 422 what is against the rules, and names the field', async (t) => {
    const api = await mustServeApi(t);
    const path = pathOf(await mustRegister(api, 'ada'));
    const refused: [what: string, patch: unknown, pointers: string[]][] = [
      ['nothing', {}, ['']],
      ['a field that does not exist', { name: 'Ada' }, ['/name']],
      [
        'fields that cannot be changed',
        { id: 1, version: 7, created_at: '' },
        ['/id', '/version', '/created_at'],
      ],
      ['a password, which has a way of its own', { password: testPassword }, ['/password']],
      ['null, which would remove a field', { email: null }, ['/email']],
      ['a username against the rules', { username: 'a b' }, ['/username']],
    ];
    for (const [what, patch, pointers] of refused) {
      await t.test(what, async () => {
        const answer = await api.patch(path, patch);
        assert.equal(answer.status, 422);
        assert.deepEqual(pointersOf(answer), pointers);
      });
    }
  });

  it('lets a user write the own name in another case, and refuses what another user has', async (t) => {
    const api = await mustServeApi(t);
    const { username, email } = await mustRegister(api, 'ada');
    const grace = await mustRegister(api, 'grace');
    assert.equal((await api.patch(pathOf(grace), { username: 'Grace' })).body.username, 'Grace');

    const answer = await api.patch(pathOf(grace), { username, email });
    assert.equal(answer.status, 409);
    assert.deepEqual(pointersOf(answer), ['/username', '/email']);
    const after = await api.get(pathOf(grace));
    assert.deepEqual([after.body.username, after.body.email], ['Grace', grace.email]);
  });

  it('is 404 for an id that nobody has, whatever the condition', async (t) => {
    const api = await mustServeApi(t);
    const patch = { username: 'nobody' };
    assert.equal((await api.patch(`${users}/7`, patch)).status, 404);
    assert.equal((await api.patch(`${users}/7`, patch, { 'if-match': '"v1"' })).status, 404);
  });

  it('happens under If-Match only while the version is the same', async (t) => {
    const api = await mustServeApi(t);
    const path = pathOf(await mustRegister(api, 'ada'));
    assert.equal((await api.patch(path, { username: 'first' }, { 'if-match': '"v1"' })).status, 200);
    const stale = await api.patch(path, { username: 'second' }, { 'if-match': '"v1"' });
    assert.equal(stale.status, 412);
    assert.equal(stale.body.code, 'precondition_failed');
    assert.equal((await api.get(path)).body.username, 'first');
    assert.equal((await api.patch(path, { username: 'third' }, { 'if-match': '*' })).status, 200);
  });

  it('happens for one of two who read the same version, though both arrive before either has written', async (t) => {
    const api = await mustServeApi(t);
    const { sql, transaction } = api.app.database;
    const ada = await mustRegister(api, 'ada');
    const patches: Promise<ApiAnswer>[] = [];
    await transaction(async (tx) => {
      // While this holds the row, both requests come as far as they can.
      await tx`select from users where id = ${ada.id} for update`;
      for (const username of ['racer_1', 'racer_2']) {
        patches.push(api.patch(pathOf(ada), { username }, { 'if-match': '"v1"' }));
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
});

describe('deleting a user', () => {
  it('is 204, and the user is gone', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustRegister(api, 'ada');
    const answer = await api.delete(pathOf(ada));
    assert.equal(answer.status, 204);
    assert.equal(answer.text, '');
    assert.equal((await api.get(pathOf(ada))).status, 404);
    assert.equal((await api.delete(pathOf(ada))).status, 404);
    assert.deepEqual(
      api.app.log.of('user.deleted').map(({ user_id, email }) => [user_id, email]),
      [[ada.id, 'a***@example.org']],
    );
  });

  it('happens under If-Match only while the version is the same', async (t) => {
    const api = await mustServeApi(t);
    const path = pathOf(await mustRegister(api, 'ada'));
    assert.equal((await api.delete(path, { 'if-match': '"v2"' })).status, 412);
    assert.equal((await api.get(path)).status, 200);
    assert.equal((await api.delete(path, { 'if-match': '"v1"' })).status, 204);
  });
});

describe('listing users', () => {
  it('shows the newest first, 20 a page unless asked otherwise', async (t) => {
    const api = await mustServeApi(t);
    const registered: number[] = [];
    for (let count = 0; count < 22; count += 1)
      registered.unshift((await mustRegister(api, `user_${count}`)).id);
    const { status, body } = await api.get(users);
    assert.equal(status, 200);
    assert.deepEqual(idsOf(body), registered.slice(0, 20));
    const rest = await api.get(`${users}?cursor=${body.next_cursor}`);
    assert.deepEqual(idsOf(rest.body), registered.slice(20));
    assert.equal(rest.body.next_cursor, null);
    assert.deepEqual(idsOf((await api.get(`${users}?limit=100`)).body), registered);
  });

  it('shows each user once to a client that follows the links, though others come and go', async (t) => {
    const api = await mustServeApi(t);
    const standing: TestUser[] = [];
    for (const name of ['one', 'two', 'three', 'four', 'five', 'six'])
      standing.unshift(await mustRegister(api, name));

    const first = await api.get(`${users}?limit=2`);
    const [, shown, next, , last] = standing;
    assert.ok(shown !== undefined && next !== undefined && last !== undefined);
    await mustRegister(api, 'newcomer');
    for (const gone of [shown, next, last]) await api.delete(pathOf(gone));
    const seen = idsOf(first.body);
    for (let path = linksOf(first).next; path !== undefined; ) {
      const answer = await api.get(path);
      seen.push(...idsOf(answer.body));
      path = linksOf(answer).next;
    }
    const expected = standing.filter((user) => user !== next && user !== last);
    assert.deepEqual(
      seen,
      expected.map(({ id }) => id),
    );
  });

  it('leads back to the page before, and to the first', async (t) => {
    const api = await mustServeApi(t);
    for (const name of ['one', 'two', 'three', 'four', 'five']) await mustRegister(api, name);
    const first = await api.get(`${users}?limit=2`);
    assert.deepEqual(Object.keys(linksOf(first)), ['next']);
    const second = await api.get(linksOf(first).next ?? '');
    assert.deepEqual(Object.keys(linksOf(second)), ['next', 'prev', 'first']);
    for (const rel of ['prev', 'first']) {
      assert.deepEqual((await api.get(linksOf(second)[rel] ?? '')).body, first.body);
    }
  });

  it('is 422 for a limit or a cursor that is none', async (t) => {
    const api = await mustServeApi(t);
    for (const query of [
      'limit=0',
      'limit=101',
      'limit=1e1',
      'limit=',
      'limit=%205',
      'limit=5&limit=6',
      'cursor=x',
    ]) {
      const answer = await api.get(`${users}?${query}`);
      assert.equal(answer.status, 422, query);
      assert.equal(answer.body.errors[0].in, 'query');
      assert.deepEqual(pointersOf(answer), [`/${query.split('=')[0]}`]);
    }
  });
});
