/** openapi-fetch on the types of openapi-typescript makes the round trip of a post. `types.ts` is generated beside the copy of this file. */

import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';

/** @type {import('openapi-fetch').Client<import('./types.ts').paths>} */
const client = createClient({ baseUrl: process.argv[2] ?? '' });

const author = await client.POST('/api/v1/users', {
  body: { username: 'emmy', email: 'emmy@example.org', password: 'correct horse battery staple' },
});
assert(author.data);

const written = await client.POST('/api/v1/posts', {
  body: { author_id: author.data.id, title: 'Invariants', body: 'To each symmetry its own.' },
});
assert(written.data);
const params = { path: { id: written.data.id } };

const read = await client.GET('/api/v1/posts/{id}', { params });
assert.deepEqual(read.data, written.data);

const listed = await client.GET('/api/v1/posts', {
  params: { query: { author_id: author.data.id, limit: 5 } },
});
assert.deepEqual(
  listed.data?.items.map((post) => [post.id, post.author.username]),
  [[written.data.id, 'emmy']],
);

const updated = await client.PATCH('/api/v1/posts/{id}', { params, body: { title: 'On invariants' } });
assert.equal(updated.data?.title, 'On invariants');

const refused = await client.POST('/api/v1/posts', {
  body: { author_id: 2 ** 40, title: 'Lost', body: 'No author.' },
});
assert.equal(refused.response.status, 422);
assert.equal(refused.error?.errors?.[0]?.pointer, '/author_id');

const deleted = await client.DELETE('/api/v1/posts/{id}', { params });
assert.equal(deleted.response.status, 204);
assert.equal((await client.GET('/api/v1/posts/{id}', { params })).response.status, 404);
