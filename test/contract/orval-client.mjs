/** The client that orval generates makes the round trip of a user. `orval.ts` is generated beside the copy of this file. */

import assert from 'node:assert/strict';
import { deleteUser, getUser, listUsers, registerUser, updateUser } from './orval.ts';

const password = 'correct horse battery staple';

const registered = await registerUser({ username: 'grace', email: 'grace@example.org', password });
assert(registered.status === 201);
const { id } = registered.data;
assert.equal(registered.headers.get('location'), `/api/v1/users/${id}`);

const read = await getUser(id);
assert(read.status === 200);
assert.deepEqual(read.data, registered.data);

const listed = await listUsers({ limit: 10 });
assert(listed.status === 200);
assert(listed.data.items.some((user) => user.id === id));

const etag = read.headers.get('etag') ?? '';
const updated = await updateUser(id, { email: 'hopper@example.org' }, { headers: { 'if-match': etag } });
assert(updated.status === 200);
assert.equal(updated.data.email, 'hopper@example.org');

const outdated = await updateUser(id, { email: 'grace@example.org' }, { headers: { 'if-match': etag } });
assert(outdated.status === 412);

const refused = await registerUser({ username: 'no spaces', email: 'nobody', password: 'short' });
assert(refused.status === 422);
assert.equal(refused.data.code, 'validation_failed');
assert.deepEqual(refused.data.errors?.map((error) => error.pointer).sort(), [
  '/email',
  '/password',
  '/username',
]);

const deleted = await deleteUser(id);
assert(deleted.status === 204);
assert.equal((await getUser(id)).status, 404);
