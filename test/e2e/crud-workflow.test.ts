import assert from 'node:assert/strict';
import { it } from 'node:test';
import { linksOf } from '../helpers/api-client.ts';
import { mustLogIn, mustServeApi } from '../helpers/test-api.ts';

it('a user registers, signs in, writes, changes and deletes, and every request is found in the log by its id', async (t) => {
  const api = await mustServeApi(t);

  const ready = await api.get('/api/v1/health/ready');
  assert.equal(ready.status, 200);
  assert.equal(ready.body.checks.database.status, 'pass');
  assert.equal(ready.body.checks.migrations.status, 'pass');

  // Register, sign in, and read it back from where the answer says it is.
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

  // Write three posts, and walk through them by two.
  const titles = ['First', 'Second', 'Third'];
  for (const title of titles) {
    const written = await ada.post('/api/v1/posts', { title, body: `${title} text.` });
    assert.equal(written.status, 201);
  }
  const firstPage = await api.get('/api/v1/posts?limit=2');
  const secondPage = await api.get(linksOf(firstPage).next ?? '');
  const listed = [...firstPage.body.items, ...secondPage.body.items];
  assert.deepEqual(
    listed.map(({ title, author }) => [title, author.username]),
    titles.toReversed().map((title) => [title, 'ada_lovelace']),
  );

  // Change what was read, and only that; whoever read before has to read again.
  const postPath = `/api/v1/posts/${listed[0].id}`;
  const etag = (await api.get(postPath)).headers.get('etag') ?? '';
  assert.equal((await api.get(postPath, { 'if-none-match': etag })).status, 304);
  const changed = await ada.patch(postPath, { title: 'Last' }, { 'if-match': etag });
  assert.equal(changed.status, 200);
  assert.equal((await ada.patch(postPath, { title: 'Lost' }, { 'if-match': etag })).status, 412);
  assert.equal((await api.get(postPath, { 'if-none-match': etag })).body.title, 'Last');

  // Delete the user, and with the user the posts and the session.
  const gone = await ada.delete(userPath, { 'if-match': user.headers.get('etag') ?? '' });
  assert.equal(gone.status, 204);
  assert.equal((await ada.get(userPath)).status, 401);
  assert.deepEqual((await api.get('/api/v1/posts')).body, { items: [], next_cursor: null });

  // Each answer named its request, and the log tells what happened under that id.
  for (const [answer, event] of [
    [registered, 'user.created'],
    [changed, 'post.updated'],
    [gone, 'user.deleted'],
  ] as const) {
    const id = answer.headers.get('x-request-id');
    const told = api.app.log.lines().filter(({ request_id }) => request_id === id);
    // Queries are not counted, nor what is done in the background for the mail to a new user.
    const names = told
      .map((line) => line.event)
      .filter((name) => !/^(?:database\.query|auth\.email\..*|mail\..*)$/.test(name));
    assert.deepEqual(names, ['http.request.start', event, 'http.request.complete']);
  }
});
