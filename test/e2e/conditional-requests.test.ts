/** Conditions of RFC 9110, section 13, on every method of every resource that has an entity tag. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ApiAnswer, ApiClient } from '../helpers/api-client.ts';
import { mustServeApi, mustSignIn } from '../helpers/test-api.ts';

const posts = '/api/v1/posts';
const users = '/api/v1/users';

/** The status of a read and of a change, where the resource has `tag`. */
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
  it('is held by GET, HEAD, PATCH and DELETE of a post and of a user, and nothing is changed against it', async (t) => {
    const api = await mustServeApi(t, { SECURITY_RATE_LIMIT_ENABLED: 'false' });
    const ada = await mustSignIn(api, 'ada');
    for (const [index, [what, fieldsOf, read, change]] of conditions.entries()) {
      const path = `${posts}/${(await ada.post(posts, { title: 'a', body: 'b' })).body.id}`;
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

  it('is not looked at where the answer is a refusal in any case', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const grace = await mustSignIn(api, 'grace');
    const { id } = (await ada.post(posts, { title: 'a', body: 'b' })).body;
    const states: [client: ApiClient, path: string, patch: number, read: number][] = [
      [ada, `${posts}/999999999`, 404, 404],
      [grace, `${posts}/${id}`, 403, 200],
      [grace, `${users}/${ada.user.id}`, 404, 404],
      [api, `${users}/${ada.user.id}`, 401, 401],
    ];
    for (const fields of [{ 'if-none-match': '*' }, { 'if-match': '"x"' }]) {
      for (const [client, path, patch, read] of states) {
        const body = path.startsWith(posts) ? { title: 'x' } : { username: 'xyz' };
        assert.equal((await client.patch(path, body, fields)).status, patch);
        assert.equal((await client.delete(path, fields)).status, patch);
        if (read !== 200) assert.equal((await client.get(path, fields)).status, read);
      }
    }
  });

  it('is 412 where a resource has no entity tag, and a request that would change it does nothing', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const count = async () => (await ada.get(posts)).body.items.length;
    const refused: Promise<ApiAnswer>[] = [
      ada.post(posts, { title: 'a', body: 'b' }, { 'if-match': '"x"' }),
      ada.get(posts, { 'if-match': '"x"' }),
      ada.delete('/api/v1/auth/api-keys/1', { 'if-match': '"x"' }),
    ];
    for (const answer of await Promise.all(refused)) assert.equal(answer.status, 412, answer.text);
    assert.equal(await count(), 0);
    assert.equal((await ada.post(posts, { title: 'a', body: 'b' }, { 'if-match': '*' })).status, 201);
  });
});

describe('an entity tag', () => {
  it('of /users/me differs between users at the same version, and is that of the user by number', async (t) => {
    const api = await mustServeApi(t);
    const [ada, grace] = [await mustSignIn(api, 'ada'), await mustSignIn(api, 'grace')];
    const [first, second] = [await tagOf(ada, `${users}/me`), await tagOf(grace, `${users}/me`)];
    assert.notEqual(first, second);
    assert.equal(await tagOf(ada, `${users}/${ada.user.id}`), first);
    const other = await grace.get(`${users}/me`, { 'if-none-match': first });
    assert.deepEqual([other.status, other.body.username], [200, 'grace']);
  });
});
