/** The client that orval generates makes the round trip of a user. `orval.ts` is generated beside the copy of this file. */

import assert from 'node:assert/strict';
import { createApiKey, deleteUser, getUser, listUsers, login, registerUser, updateUser } from './orval.ts';

const password = 'correct horse battery staple';

const registered = await registerUser({ username: 'grace', email: 'grace@example.org', password });
assert(registered.status === 201);
const { id } = registered.data;
assert.equal(registered.headers.get('location'), `/api/v1/users/${id}`);

const grace = await signIn('grace');
assert.equal((await getUser(id)).status, 401);
const read = await getUser(id, grace);
assert(read.status === 200);
assert.deepEqual(read.data, registered.data);

assert.equal((await listUsers({}, grace)).status, 403);
const listed = await listUsers({ limit: 10 }, await signIn(process.argv[3] ?? ''));
assert(listed.status === 200);
assert(listed.data.items.some((user) => user.id === id));

const etag = read.headers.get('etag') ?? '';
const ifMatch = { headers: { ...grace.headers, 'if-match': etag } };
const change = { email: 'hopper@example.org', current_password: password };
const updated = await updateUser(id, change, ifMatch);
assert(updated.status === 200);
assert.equal(updated.data.email, 'hopper@example.org');

const outdated = await updateUser(id, { username: 'hopper' }, ifMatch);
assert(outdated.status === 412);

const made = await createApiKey({ name: 'Nightly import', scopes: ['users:read'] }, grace);
assert(made.status === 201);
const program = { headers: { 'x-api-key': made.data.key } };
assert.equal((await getUser(id, program)).status, 200);
assert.equal((await updateUser(id, { username: 'hopper' }, program)).status, 403);

const refused = await registerUser({ username: 'no spaces', email: 'nobody', password: 'short' });
assert(refused.status === 422);
assert.equal(refused.data.code, 'validation_failed');
assert.deepEqual(refused.data.errors?.map((error) => error.pointer).sort(), [
  '/email',
  '/password',
  '/username',
]);

const deleted = await deleteUser(id, grace);
assert(deleted.status === 204);
assert.equal((await getUser(id, grace)).status, 401);

/** @param {string} username */
async function signIn(username) {
  const signedIn = await login({ username, password });
  assert(signedIn.status === 200);
  return { headers: { authorization: `Bearer ${signedIn.data.access_token}` } };
}
