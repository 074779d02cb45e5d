import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { linksOf, pointersOf } from '../../helpers/api-client.ts';
import {
  mustServeApi,
  mustSignIn,
  mustSignInAdmin,
  type SignedIn,
  type TestApi,
} from '../../helpers/test-api.ts';

const posts = '/api/v1/posts';

interface Listed {
  readonly id: number;
  readonly author: { readonly id: number; readonly username: string };
}

/** Writes a post and returns it, as the answer has it. */
async function mustWrite(author: SignedIn) {
  const { status, body, text } = await author.post(posts, { title: 'A title', body: 'A text.' });
  assert.equal(status, 201, text);
  return body;
}

/** Signs in an author and writes a post; returns where the post is, too. */
async function mustWriteFirst(api: TestApi) {
  const ada = await mustSignIn(api, 'ada');
  const post = await mustWrite(ada);
  return { ada, post, path: `${posts}/${post.id}` };
}

describe('writing a post', () => {
  it('writing a post returns the new post, its URL and its version', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const answer = await ada.post(posts, { title: 'Notes', body: 'It weaves.\n' });
    assert.equal(answer.status, 201);
    const { id, created_at, updated_at, ...rest } = answer.body;
    assert.deepEqual(rest, { author_id: ada.user.id, title: 'Notes', body: 'It weaves.\n' });
    assert.equal(updated_at, created_at);
    assert.equal(answer.headers.get('location'), `${posts}/${id}`);
    assert.equal(answer.headers.get('etag'), `"${id}.v1"`);
    const read = await api.get(`${posts}/${id}`);
    assert.deepEqual(read.body, answer.body);
    assert.equal(read.headers.get('etag'), `"${id}.v1"`);
    const [line] = api.app.log.of('post.created');
    assert.deepEqual([line?.post_id, line?.author_id], [id, ada.user.id]);
  });

  it('writing a post is 401 for an author who was just deleted by another process', async (t) => {
    const api = await mustServeApi(t);
    const { ada } = await mustWriteFirst(api);
    await api.app.database.sql`delete from users where id = ${ada.user.id}`;
    const answer = await ada.post(posts, { title: 'Notes', body: 'It weaves.' });
    assert.equal(answer.status, 401);
  });

  it('a post of the maximum length in its longest encoding is accepted', async (t) => {
    const api = await mustServeApi(t, { SECURITY_MAX_REQUEST_SIZE: '1000' });
    const ada = await mustSignIn(api, 'ada');
    const owl = '\\ud83e\\udd89';
    const text = `{"title":"${owl.repeat(200)}","body":"${owl.repeat(20_000)}"}`;
    const { status, body } = await ada.post(posts, text);
    assert.equal(status, 201);
    assert.equal(body.body, '🦉'.repeat(20_000));
  });

  it('invalid fields of a post are 422 with the field', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const valid = { title: 'Notes', body: 'It weaves.' };
    const refused: [what: string, body: unknown, pointers: string[]][] = [
      ['nothing', {}, ['/title', '/body']],
      ['an author, who is the one that asks', { ...valid, author_id: ada.user.id }, ['/author_id']],
      ['an empty title', { ...valid, title: '' }, ['/title']],
      ['a title of 201 characters', { ...valid, title: 'a'.repeat(201) }, ['/title']],
      ['a title with NUL', { ...valid, title: 'a\0' }, ['/title']],
      ['an empty text', { ...valid, body: '' }, ['/body']],
      ['a text of 20,001 characters', { ...valid, body: 'a'.repeat(20_001) }, ['/body']],
      ['an unknown field', { ...valid, id: 7 }, ['/id']],
    ];
    for (const [what, body, pointers] of refused) {
      await t.test(what, async () => {
        const answer = await ada.post(posts, body);
        assert.equal(answer.status, 422);
        assert.deepEqual([...new Set(pointersOf(answer))], pointers);
      });
    }
  });
});

describe('changing a post', () => {
  it('a change of a post changes only the sent fields, and the version', async (t) => {
    const api = await mustServeApi(t);
    const { ada, post, path } = await mustWriteFirst(api);
    const answer = await ada.patch(path, { title: 'Another title' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('etag'), `"${post.id}.v2"`);
    assert.deepEqual(answer.body, { ...post, title: 'Another title', updated_at: answer.body.updated_at });
  });

  it('an empty patch and a change of author are 422, and an unknown post is 404', async (t) => {
    const api = await mustServeApi(t);
    const { ada, post, path } = await mustWriteFirst(api);
    assert.equal((await ada.patch(path, {})).status, 422);
    const answer = await ada.patch(path, { author_id: post.author_id });
    assert.equal(answer.status, 422);
    assert.deepEqual(pointersOf(answer), ['/author_id']);
    assert.equal((await ada.patch(`${posts}/999999999`, { title: 'Lost' })).status, 404);
  });

  it('a change of a post with If-Match needs the current version', async (t) => {
    const api = await mustServeApi(t);
    const { ada, post, path } = await mustWriteFirst(api);
    assert.equal((await ada.patch(path, { title: 'First' }, { 'if-match': `"${post.id}.v1"` })).status, 200);
    assert.equal((await ada.patch(path, { title: 'Second' }, { 'if-match': `"${post.id}.v1"` })).status, 412);
    assert.equal((await api.get(path)).body.title, 'First');
  });
});

describe('deleting a post', () => {
  it('deleting a post is 204, and with If-Match needs the current version', async (t) => {
    const api = await mustServeApi(t);
    const { ada, post, path } = await mustWriteFirst(api);
    assert.equal((await ada.delete(path, { 'if-match': `"${post.id}.v9"` })).status, 412);
    assert.equal((await ada.delete(path, { 'if-match': `"${post.id}.v1"` })).status, 204);
    assert.equal((await api.get(path)).status, 404);
    assert.equal((await ada.delete(path)).status, 404);
  });

  it('the posts of a deleted user are deleted', async (t) => {
    const api = await mustServeApi(t);
    const { ada, post, path } = await mustWriteFirst(api);
    await ada.delete(`/api/v1/users/${post.author_id}`);
    assert.equal((await api.get(path)).status, 404);
    assert.deepEqual((await api.get(`${posts}?author_id=${post.author_id}`)).body, {
      items: [],
      next_cursor: null,
    });
  });
});

describe('callers other than the author', () => {
  it('another user can read a post, but not change or delete it', async (t) => {
    const api = await mustServeApi(t);
    const { post, path } = await mustWriteFirst(api);
    const grace = await mustSignIn(api, 'grace');
    for (const answer of [
      await grace.patch(path, { title: 'Mine' }),
      await grace.patch(path, { title: 'Mine' }, { 'if-match': `"${post.id}.v9"` }),
      await grace.delete(path),
    ]) {
      assert.equal(answer.status, 403);
      assert.match(answer.body.detail, /only its author/);
    }
    assert.deepEqual((await grace.get(path)).body, post);
  });

  it('writing a post without credentials is 401 with a challenge', async (t) => {
    const api = await mustServeApi(t);
    const { path } = await mustWriteFirst(api);
    for (const answer of [
      await api.post(posts, { title: 'Notes', body: 'It weaves.' }),
      await api.patch(path, { title: 'Mine' }),
      await api.delete(path),
    ]) {
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="Strata"');
    }
    assert.equal((await api.get(path)).status, 200);
  });

  it('an admin can change and delete a post, and the log names the admin', async (t) => {
    const api = await mustServeApi(t);
    const { ada, path } = await mustWriteFirst(api);
    const root = await mustSignInAdmin(api, 'root');
    assert.equal((await root.patch(path, { title: 'Moderated' })).body.author_id, ada.user.id);
    assert.equal((await root.delete(path)).status, 204);
    for (const event of ['post.updated', 'post.deleted']) {
      const [line] = api.app.log.of(event);
      assert.deepEqual([line?.author_id, line?.by_user_id], [ada.user.id, root.user.id]);
    }
  });
});

describe('listing posts', () => {
  it('the list shows each post with the current name of its author', async (t) => {
    const api = await mustServeApi(t);
    const { ada, post } = await mustWriteFirst(api);
    await ada.patch(`/api/v1/users/${post.author_id}`, { username: 'countess' });
    const { body } = await api.get(posts);
    assert.deepEqual(body.items, [{ ...post, author: { id: post.author_id, username: 'countess' } }]);
  });

  it('a page of posts needs one query, whatever the number of posts and authors', async (t) => {
    const api = await mustServeApi(t);
    for (const name of ['ada', 'grace', 'edith']) {
      const author = await mustSignIn(api, name);
      for (let count = 0; count < 3; count += 1) await mustWrite(author);
    }
    const before = api.app.log.of('database.query').length;
    const { body } = await api.get(posts);
    assert.equal(body.items.length, 9);
    assert.equal(new Set(body.items.map(({ author }: Listed) => author.username)).size, 3);
    assert.equal(api.app.log.of('database.query').length - before, 1);
  });

  it('the filter by author applies to all pages', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const grace = await mustSignIn(api, 'grace');
    const written: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      written.unshift((await mustWrite(ada)).id);
      await mustWrite(grace);
    }
    const seen: Listed[] = [];
    for (let path: string | undefined = `${posts}?author_id=${ada.user.id}&limit=2`; path !== undefined; ) {
      const answer = await api.get(path);
      seen.push(...answer.body.items);
      path = linksOf(answer).next;
    }
    assert.deepEqual(
      seen.map(({ id, author }) => [id, author.username]),
      written.map((id) => [id, 'ada']),
    );
  });

  it('an invalid author, limit or cursor of the list of posts is 422', async (t) => {
    const api = await mustServeApi(t);
    for (const query of [
      'author_id=0',
      'author_id=ada',
      'author_id=1&author_id=2',
      'limit=1000',
      'cursor=e30',
    ]) {
      const answer = await api.get(`${posts}?${query}`);
      assert.equal(answer.status, 422, query);
      assert.deepEqual(pointersOf(answer), [`/${query.split('=')[0]}`]);
    }
  });
});

describe('the cached first page', () => {
  it('the first page shows every change at once, and is loaded once in between', async (t) => {
    const api = await mustServeApi(t);
    const { ada, path } = await mustWriteFirst(api);
    const titles = async () => (await api.get(posts)).body.items.map(({ title }: { title: string }) => title);
    assert.deepEqual(await titles(), ['A title']);
    assert.deepEqual(await titles(), ['A title']);
    await ada.patch(path, { title: 'Changed' });
    assert.deepEqual(await titles(), ['Changed']);
    await ada.delete(path);
    assert.deepEqual(await titles(), []);
  });

  it('the first page shows a new name of an author, and no posts of a deleted one', async (t) => {
    const api = await mustServeApi(t);
    const { ada } = await mustWriteFirst(api);
    const authors = async () =>
      (await api.get(posts)).body.items.map(({ author }: Listed) => author.username);
    assert.deepEqual(await authors(), ['ada']);
    const me = `/api/v1/users/${ada.user.id}`;
    await ada.patch(me, { username: 'countess' });
    assert.deepEqual(await authors(), ['countess']);
    await ada.delete(me);
    assert.deepEqual(await authors(), []);
  });

  it('the first page comes from the cache, as a change behind its back shows', async (t) => {
    const api = await mustServeApi(t);
    await mustWriteFirst(api);
    const first = await api.get(posts);
    await api.app.database.sql`update posts set title = 'Hidden'`;
    assert.deepEqual((await api.get(posts)).body, first.body);
    assert.equal((await api.get(`${posts}?limit=1`)).body.items[0].title, 'Hidden');
  });
});
