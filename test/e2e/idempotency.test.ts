/** A client that got no answer sends its request again with the same Idempotency-Key, over the whole application. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'node:test';
import type { ClientResponse } from '../helpers/api-client.ts';
import { mustServeNotes, notes } from '../helpers/notes.ts';
import { mustServeApi, mustSignIn, testPassword } from '../helpers/test-api.ts';
import { mustStartApp } from '../helpers/test-app.ts';

const users = '/api/v1/users';
const newKey = () => ({ 'idempotency-key': `"${randomUUID()}"` });
const ada = { username: 'ada', email: 'ada@example.org', password: testPassword };

/** The parts of an answer that are equal in a replay. */
const seen = ({ status, headers, text }: ClientResponse) => ({
  status,
  text,
  ...Object.fromEntries(['content-type', 'location', 'etag'].map((name) => [name, headers.get(name)])),
});

it('a user or a note is created or changed once by requests with one key, and each gets the same answer', async (t) => {
  const api = await mustServeNotes(t);
  const grace = await mustSignIn(api, 'grace');
  const { body: note } = await grace.post(notes, { title: 'First' });

  const requests: [
    what: string,
    status: number,
    send: (key: Record<string, string>) => Promise<ClientResponse>,
  ][] = [
    ['registering', 201, (key) => api.post(users, ada, key)],
    ['writing', 201, (key) => grace.post(notes, { title: 'Second' }, key)],
    ['changing a user', 200, (key) => grace.patch(`${users}/${grace.user.id}`, { username: 'hopper' }, key)],
    ['changing a note', 200, (key) => grace.patch(`${notes}/${note.id}`, { title: 'Changed' }, key)],
  ];
  for (const [what, status, send] of requests) {
    const key = newKey();
    const first = await send(key);
    assert.equal(first.status, status, first.text);
    assert.equal(first.headers.get('idempotency-replayed'), null);
    for (let time = 0; time < 2; time += 1) {
      const again = await send(key);
      assert.deepEqual(seen(again), seen(first), what);
      assert.equal(again.headers.get('idempotency-replayed'), 'true');
    }
  }
  const { sql } = api.app.database;
  const versions = await sql`select username, version from users order by id`;
  assert.deepEqual(
    versions.map(({ username, version }) => [username, version]),
    [
      ['hopper', 2],
      ['ada', 1],
    ],
  );
  const written = await sql`select title, version from notes order by id`;
  assert.deepEqual(
    written.map(({ title, version }) => [title, version]),
    [
      ['Changed', 2],
      ['Second', 1],
    ],
  );
});

it('a registration sent 50 times at once with one key creates one user', async (t) => {
  const api = await mustServeApi(t);
  const key = newKey();
  const answers = await Promise.all(Array.from({ length: 50 }, () => api.post(users, ada, key)));
  for (const { status, body } of answers) {
    if (status !== 201) assert.deepEqual([status, body.code], [409, 'idempotency_running']);
  }
  const again = await api.post(users, ada, key);
  assert.deepEqual([again.status, again.headers.get('idempotency-replayed')], [201, 'true']);
  assert.equal((await api.app.database.sql`select from users`).length, 1);
  assert.equal(api.app.log.of('user.created').length, 1);
});

it('a registration refused with 409 can be corrected and sent again with the same key', async (t) => {
  const api = await mustServeApi(t);
  await api.post(users, ada);
  const key = newKey();
  assert.equal((await api.post(users, { ...ada, email: 'other@example.org' }, key)).status, 409);
  const corrected = { ...ada, username: 'ada2', email: 'other@example.org' };
  assert.equal((await api.post(users, corrected, key)).status, 201);
});

it('an answer is not replayed to a session that has logged out', async (t) => {
  const api = await mustServeNotes(t);
  const grace = await mustSignIn(api, 'grace');
  const key = newKey();
  const note = { title: 'Mine' };
  assert.equal((await grace.post(notes, note, key)).status, 201);
  await grace.post('/api/v1/auth/logout', undefined);
  const again = await grace.post(notes, note, key);
  assert.deepEqual([again.status, again.headers.get('idempotency-replayed')], [401, null]);
});

it('no answer with a secret is stored, nor a password, nor the Idempotency-Key itself', async (t) => {
  const api = await mustServeApi(t);
  const key = newKey();
  await api.post(users, ada, key);
  const login = () => api.post('/api/v1/auth/login', { username: 'ada', password: testPassword }, newKey());
  assert.equal((await login()).status, 200);

  const kept = await api.app.database.sql<{ row: string }[]>`
    select kept::text as row from idempotency_keys as kept`;
  assert.equal(kept.length, 1);
  const text = `${kept[0]?.row}${api.app.log.text()}`;
  for (const secret of [testPassword, key['idempotency-key'].slice(1, -1)]) {
    assert.ok(!text.includes(secret));
  }
});

it('a request with a key gets 503 on a server without a database', async (t) => {
  const { api } = await mustStartApp(t);
  const headers = { 'content-type': 'application/json', ...newKey() };
  const answer = await fetch(`${api}/users`, { method: 'POST', headers, body: JSON.stringify(ada) });
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /"code":"database_disabled"/);
});
