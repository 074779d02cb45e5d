import assert from 'node:assert/strict';
import { it } from 'node:test';
import { linksOf } from '../helpers/api-client.ts';
import { mustServeNotes, notes } from '../helpers/notes.ts';
import { mustLogIn } from '../helpers/test-api.ts';

it('a user registers, signs in, writes, changes and deletes, and the log has every request under its id', async (t) => {
  const api = await mustServeNotes(t);

  const ready = await api.get('/api/v1/health/ready');
  assert.equal(ready.status, 200);
  assert.equal(ready.body.checks.database.status, 'ok');
  assert.equal(ready.body.checks.migrations.status, 'ok');

  // Register, sign in, and read the user back from the Location of the answer.
  const registered = await api.post('/api/v1/users', {
    ...{ username: 'ada_lovelace', email: 'ada@example.org', password: 'correct horse battery staple' },
  });
  assert.equal(registered.status, 201);
  const userPath = registered.headers.get('location') ?? '';
  assert.equal((await api.get(userPath)).status, 401);
  const ada = await mustLogIn(api, registered.body);
  const user = await ada.get(userPath);
  assert.deepEqual(user.body, registered.body);
  assert.deepEqual((await ada.get('/api/v1/users/me')).body, registered.body);

  // Write three notes, and read them in pages of two.
  const titles = ['First', 'Second', 'Third'];
  for (const title of titles) {
    const written = await ada.post(notes, { title });
    assert.equal(written.status, 201);
  }
  const firstPage = await api.get(`${notes}?limit=2`);
  const secondPage = await api.get(linksOf(firstPage).next ?? '');
  const listed = [...firstPage.body.items, ...secondPage.body.items];
  assert.deepEqual(
    listed.map(({ title, owner_id }) => [title, owner_id]),
    titles.toReversed().map((title) => [title, registered.body.id]),
  );

  // Change the version that was read; another change of that version is refused.
  const notePath = `${notes}/${listed[0].id}`;
  const etag = (await api.get(notePath)).headers.get('etag') ?? '';
  assert.equal((await api.get(notePath, { 'if-none-match': etag })).status, 304);
  const changed = await ada.patch(notePath, { title: 'Last' }, { 'if-match': etag });
  assert.equal(changed.status, 200);
  assert.equal((await ada.patch(notePath, { title: 'Lost' }, { 'if-match': etag })).status, 412);
  assert.equal((await api.get(notePath, { 'if-none-match': etag })).body.title, 'Last');

  // Change the user.
  const renamed = await ada.patch(
    userPath,
    { username: 'countess' },
    { 'if-match': user.headers.get('etag') ?? '' },
  );
  assert.deepEqual([renamed.status, renamed.body.username], [200, 'countess']);

  // Delete the user, and with the user the notes and the session.
  const gone = await ada.delete(userPath, { 'if-match': renamed.headers.get('etag') ?? '' });
  assert.equal(gone.status, 204);
  assert.equal((await ada.get(userPath)).status, 401);
  assert.deepEqual((await api.get(notes)).body, { items: [], next_cursor: null });

  // Each answer has the id of its request, and the log has the events of the request under that id.
  for (const [answer, event] of [
    [registered, 'user.created'],
    [renamed, 'user.updated'],
    [gone, 'user.deleted'],
  ] as const) {
    const id = answer.headers.get('x-request-id');
    const lines = api.app.log.lines().filter(({ request_id }) => request_id === id);
    // Without the queries, and without the mail to a new user, which is sent in the background.
    const names = lines
      .map((line) => line.event)
      .filter((name) => !/^(?:database\.query|auth\.email\..*|mail\..*)$/.test(name));
    assert.deepEqual(names, ['http.request.start', event, 'http.request.complete']);
  }
});
