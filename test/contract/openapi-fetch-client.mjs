/** openapi-fetch on the types of openapi-typescript makes the round trip of a note. `types.ts` is generated beside the copy of this file. */

import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';

/** @type {import('openapi-fetch').Client<import('./types.ts').paths>} */
const client = createClient({ baseUrl: process.argv[2] ?? '' });

const password = 'correct horse battery staple';
const owner = await client.POST('/api/v1/users', {
  body: { username: 'emmy', email: 'emmy@example.org', password },
});
assert(owner.data);

const signedIn = await client.POST('/api/v1/auth/login', { body: { username: 'emmy', password } });
assert(signedIn.data?.refresh_token);
let { access_token, refresh_token } = signedIn.data;
client.use({
  onRequest({ request }) {
    request.headers.set('authorization', `Bearer ${access_token}`);
  },
});
const refreshed = await client.POST('/api/v1/auth/refresh', { body: { refresh_token } });
assert(refreshed.data?.refresh_token);
({ access_token, refresh_token } = refreshed.data);

const written = await client.POST('/api/v1/notes', {
  body: { title: 'Invariants' },
  params: { header: { 'Idempotency-Key': 'invariants-1' } },
});
assert(written.data);
assert.equal(written.data.owner_id, owner.data.id);
const params = { path: { id: written.data.id } };

const read = await client.GET('/api/v1/notes/{id}', { params });
assert.deepEqual(read.data, written.data);

const listed = await client.GET('/api/v1/notes', { params: { query: { limit: 5 } } });
assert.deepEqual(
  listed.data?.items.map((note) => [note.id, note.title]),
  [[written.data.id, 'Invariants']],
);

const updated = await client.PATCH('/api/v1/notes/{id}', { params, body: { title: 'On invariants' } });
assert.equal(updated.data?.title, 'On invariants');

const refused = await client.POST('/api/v1/notes', { body: { title: '' } });
assert.equal(refused.response.status, 422);
assert.equal(refused.error?.errors?.[0]?.pointer, '/title');

const deleted = await client.DELETE('/api/v1/notes/{id}', { params });
assert.equal(deleted.response.status, 204);
assert.equal((await client.GET('/api/v1/notes/{id}', { params })).response.status, 404);

const left = await client.POST('/api/v1/auth/logout', { body: { refresh_token } });
assert.equal(left.response.status, 204);
assert.equal((await client.GET('/api/v1/users/me')).response.status, 401);
