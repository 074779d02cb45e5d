/** Preconditions (RFC 9110, section 13) on every method of two resources with entity tags: notes and users. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ApiClient, ClientResponse } from '../helpers/api-client.ts';
import { mustServeNotes, notes } from '../helpers/notes.ts';
import { mustServeApi, mustSignIn } from '../helpers/test-api.ts';

const users = '/api/v1/users';

/** The expected status of a read and of a change when the entity tag of the resource is `tag`. */
const conditions: [
  what: string,
  fields: (tag: string) => Record<string, string>,
  read: number,
  change: number,
][] = [
  ['nothing', () => ({}), 200, 200],
  ['If-Match with the tag', (tag) => ({ 'if-match': tag }), 200, 200],
  ['If-Match with the tag among others', (tag) => ({ 'if-match': `"x", ${tag}` }), 200, 200],
  ['If-Match with another tag', () => ({ 'if-match': '"x"' }), 412, 412],
  ['If-Match with the tag, but weak', (tag) => ({ 'if-match': `W/${tag}` }), 412, 412],
  ['If-Match with *', () => ({ 'if-match': '*' }), 200, 200],
  ['If-None-Match with the tag', (tag) => ({ 'if-none-match': tag }), 304, 412],
  ['If-None-Match with the tag, but weak', (tag) => ({ 'if-none-match': `W/${tag}` }), 304, 412],
  ['If-None-Match with another tag', () => ({ 'if-none-match': '"x"' }), 200, 200],
  ['If-None-Match with *', () => ({ 'if-none-match': '*' }), 304, 412],
  ['both, and If-Match does not hold', (tag) => ({ 'if-match': '"x"', 'if-none-match': tag }), 412, 412],
  ['both, and If-None-Match does not hold', (tag) => ({ 'if-match': tag, 'if-none-match': tag }), 304, 412],
  ['both, and both hold', (tag) => ({ 'if-match': tag, 'if-none-match': '"x"' }), 200, 200],
];

const tagOf = async (client: ApiClient, path: string) => (await client.get(path)).headers.get('etag') ?? '';
const isSuccess = (status: number) => status >= 200 && status < 300;

describe('a condition', () => {
  it('is evaluated by GET, PATCH and DELETE of a note and of a user, and a change that it forbids does not happen', async (t) => {
    const api = await mustServeNotes(t, { SECURITY_RATE_LIMIT_ENABLED: 'false' });
    const ada = await mustSignIn(api, 'ada');
    for (const [index, [what, fieldsOf, read, change]] of conditions.entries()) {
      const path = `${notes}/${(await ada.post(notes, { title: 'a' })).body.id}`;
      const grace = await mustSignIn(api, `grace_${index}`);
      const user = `${users}/${grace.user.id}`;
      for (const [client, at, patch] of [
        [ada, path, { title: 'c' }],
        [grace, user, { username: `hopper_${index}` }],
      ] as const) {
        const fields = async () => fieldsOf(await tagOf(client, at));
        const shown = (await client.get(at)).body;
        assert.equal((await client.get(at, await fields())).status, read, `GET with ${what}`);
        const changed = await client.patch(at, patch, await fields());
        assert.equal(changed.status, change, `PATCH with ${what}`);
        if (change === 412) assert.deepEqual((await client.get(at)).body, shown);
        const removed = await client.delete(at, await fields());
        assert.equal(isSuccess(removed.status), change === 200, `DELETE with ${what}: ${removed.status}`);
        if (change === 412) assert.equal(removed.status, 412);
      }
    }
  });

  it('is not evaluated where the request is refused without it', async (t) => {
    const api = await mustServeNotes(t);
    const ada = await mustSignIn(api, 'ada');
    const grace = await mustSignIn(api, 'grace');
    const { id } = (await ada.post(notes, { title: 'a' })).body;
    const states: [client: ApiClient, path: string, patch: number, read: number][] = [
      [ada, `${notes}/999999999`, 404, 404],
      [grace, `${notes}/${id}`, 403, 200],
      [grace, `${users}/${ada.user.id}`, 404, 404],
      [api, `${users}/${ada.user.id}`, 401, 401],
    ];
    for (const fields of [{ 'if-none-match': '*' }, { 'if-match': '"x"' }]) {
      for (const [client, path, patch, read] of states) {
        const body = path.startsWith(notes) ? { title: 'x' } : { username: 'xyz' };
        assert.equal((await client.patch(path, body, fields)).status, patch);
        assert.equal((await client.delete(path, fields)).status, patch);
        if (read !== 200) assert.equal((await client.get(path, fields)).status, read);
      }
    }
  });

  it('gets 412 where the resource has no entity tag, and the request changes nothing', async (t) => {
    const api = await mustServeNotes(t);
    const ada = await mustSignIn(api, 'ada');
    const count = async () => (await ada.get(notes)).body.items.length;
    const refused: Promise<ClientResponse>[] = [
      ada.post(notes, { title: 'a' }, { 'if-match': '"x"' }),
      ada.get(notes, { 'if-match': '"x"' }),
      ada.delete('/api/v1/auth/api-keys/1', { 'if-match': '"x"' }),
    ];
    for (const answer of await Promise.all(refused)) assert.equal(answer.status, 412, answer.text);
    assert.equal(await count(), 0);
    assert.equal((await ada.post(notes, { title: 'a' }, { 'if-match': '*' })).status, 201);
  });
});

describe('the entity tag of /users/me', () => {
  it('differs between users at the same version, and equals that of /users/:id', async (t) => {
    const api = await mustServeApi(t);
    const [ada, grace] = [await mustSignIn(api, 'ada'), await mustSignIn(api, 'grace')];
    const [first, second] = [await tagOf(ada, `${users}/me`), await tagOf(grace, `${users}/me`)];
    assert.notEqual(first, second);
    assert.equal(await tagOf(ada, `${users}/${ada.user.id}`), first);
    const other = await grace.get(`${users}/me`, { 'if-none-match': first });
    assert.deepEqual([other.status, other.body.username], [200, 'grace']);
  });
});
