import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ApiClient, linksOf, pointersOf } from '../../helpers/api-client.ts';
import { mustRegister, mustServeApi } from '../../helpers/test-api.ts';

const posts = '/api/v1/posts';

interface Listed {
  readonly id: number;
  readonly author: { readonly id: number; readonly username: string };
}

/** Writes a post and returns it, as the answer has it. */
async function mustWrite(api: ApiClient, authorId: number) {
  const { status, body, text } = await api.post(posts, {
    author_id: authorId,
    title: 'A title',
    body: 'A text.',
  });
  assert.equal(status, 201, text);
  return body;
}

/** Registers an author and writes a post; returns where the post is, too. */
async function mustWriteFirst(api: ApiClient) {
  const { id } = await mustRegister(api, 'ada');
  const post = await mustWrite(api, id);
  return { post, path: `${posts}/${post.id}` };
}

describe('writing a post', () => {
  it('answers with the new post, where it is, and its version', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustRegister(api, 'ada');
    const answer = await api.post(posts, { author_id: ada.id, title: 'Notes', body: 'It weaves.\n' });
    assert.equal(answer.status, 201);
    const { id, created_at, updated_at, ...rest } = answer.body;
    assert.deepEqual(rest, { author_id: ada.id, title: 'Notes', body: 'It weaves.\n' });
    assert.equal(updated_at, created_at);
    assert.equal(answer.headers.get('location'), `${posts}/${id}`);
    assert.equal(answer.headers.get('etag'), '"v1"');
    const read = await api.get(`${posts}/${id}`);
    assert.deepEqual(read.body, answer.body);
    assert.equal(read.headers.get('etag'), '"v1"');
    const [line] = api.app.log.of('post.created');
    assert.deepEqual([line?.post_id, line?.author_id], [id, ada.id]);
  });

  it('is 422 at /author_id for an author who is not there', async (t) => {
    const api = await mustServeApi(t);
    const answer = await api.post(posts, { author_id: 999_999_999, title: 'Notes', body: 'It weaves.' });
    assert.equal(answer.status, 422);
    assert.deepEqual(pointersOf(answer), ['/author_id']);
    assert.match(answer.body.detail, /999999999/);
  });

  it('takes the longest text there may be, in the longest way to write it', async (t) => {
    const api = await mustServeApi(t, { SECURITY_MAX_REQUEST_SIZE: '1000' });
    const { id } = await mustRegister(api, 'ada');
    const owl = '\\ud83e\\udd89';
    const text = `{"author_id":${id},"title":"${owl.repeat(200)}","body":"${owl.repeat(20_000)}"}`;
    const { status, body } = await api.post(posts, text);
    assert.equal(status, 201);
    assert.equal(body.body, '🦉'.repeat(20_000));
  });

  it('refuses with 422 what is against the rules, and names the field', async (t) => {
    const api = await mustServeApi(t);
    const valid = { author_id: (await mustRegister(api, 'ada')).id, title: 'Notes', body: 'It weaves.' };
    const refused: [what: string, body: unknown, pointers: string[]][] = [
      ['nothing', {}, ['/author_id', '/title', '/body']],
      ['an author in text', { ...valid, author_id: '1' }, ['/author_id']],
      ['an author of 0', { ...valid, author_id: 0 }, ['/author_id']],
      ['an author of 1.5', { ...valid, author_id: 1.5 }, ['/author_id']],
      ['an author beyond what is exact', { ...valid, author_id: 2 ** 53 }, ['/author_id']],
      ['an empty title', { ...valid, title: '' }, ['/title']],
      ['a title of 201 characters', { ...valid, title: 'a'.repeat(201) }, ['/title']],
      ['a title with NUL', { ...valid, title: 'a\0' }, ['/title']],
      ['an empty text', { ...valid, body: '' }, ['/body']],
      ['a text of 20,001 characters', { ...valid, body: 'a'.repeat(20_001) }, ['/body']],
      ['an unknown field', { ...valid, id: 7 }, ['/id']],
    ];
    for (const [what, body, pointers] of refused) {
      await t.test(what, async () => {
        const answer = await api.post(posts, body);
        assert.equal(answer.status, 422);
        assert.deepEqual([...new Set(pointersOf(answer))], pointers);
      });
    }
  });
});

describe('changing a post', () => {
  it('changes what is sent, leaves the rest, and gives a new version', async (t) => {
    const api = await mustServeApi(t);
    const { post, path } = await mustWriteFirst(api);
    const answer = await api.patch(path, { title: 'Another title' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('etag'), '"v2"');
    assert.deepEqual(answer.body, { ...post, title: 'Another title', updated_at: answer.body.updated_at });
  });

  it('is 422 for an empty patch and for a change of author, and 404 for a post that is not there', async (t) => {
    const api = await mustServeApi(t);
    const { post, path } = await mustWriteFirst(api);
    assert.equal((await api.patch(path, {})).status, 422);
    const answer = await api.patch(path, { author_id: post.author_id });
    assert.equal(answer.status, 422);
    assert.deepEqual(pointersOf(answer), ['/author_id']);
    assert.equal((await api.patch(`${posts}/999999999`, { title: 'Lost' })).status, 404);
  });

  it('happens under If-Match only while the version is the same', async (t) => {
    const api = await mustServeApi(t);
    const { path } = await mustWriteFirst(api);
    assert.equal((await api.patch(path, { title: 'First' }, { 'if-match': '"v1"' })).status, 200);
    assert.equal((await api.patch(path, { title: 'Second' }, { 'if-match': '"v1"' })).status, 412);
    assert.equal((await api.get(path)).body.title, 'First');
  });
});

describe('deleting a post', () => {
  it('is 204, under If-Match only while the version is the same, and then the post is gone', async (t) => {
    const api = await mustServeApi(t);
    const { path } = await mustWriteFirst(api);
    assert.equal((await api.delete(path, { 'if-match': '"v9"' })).status, 412);
    assert.equal((await api.delete(path, { 'if-match': '"v1"' })).status, 204);
    assert.equal((await api.get(path)).status, 404);
    assert.equal((await api.delete(path)).status, 404);
  });

  it('happens to all posts of a user who is deleted', async (t) => {
    const api = await mustServeApi(t);
    const { post, path } = await mustWriteFirst(api);
    await api.delete(`/api/v1/users/${post.author_id}`);
    assert.equal((await api.get(path)).status, 404);
    assert.deepEqual((await api.get(`${posts}?author_id=${post.author_id}`)).body, {
      items: [],
      next_cursor: null,
    });
  });
});

describe('listing posts', () => {
  it('shows each post with its author, by the name the author has now', async (t) => {
    const api = await mustServeApi(t);
    const { post } = await mustWriteFirst(api);
    await api.patch(`/api/v1/users/${post.author_id}`, { username: 'countess' });
    const { body } = await api.get(posts);
    assert.deepEqual(body.items, [{ ...post, author: { id: post.author_id, username: 'countess' } }]);
  });

  it('asks the database once for a page, however many posts and authors it shows', async (t) => {
    const api = await mustServeApi(t);
    for (const name of ['ada', 'grace', 'edith']) {
      const { id } = await mustRegister(api, name);
      for (let count = 0; count < 3; count += 1) await mustWrite(api, id);
    }
    const before = api.app.log.of('database.query').length;
    const { body } = await api.get(posts);
    assert.equal(body.items.length, 9);
    assert.equal(new Set(body.items.map(({ author }: Listed) => author.username)).size, 3);
    assert.equal(api.app.log.of('database.query').length - before, 1);
  });

  it('keeps to one author over all pages', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustRegister(api, 'ada');
    const grace = await mustRegister(api, 'grace');
    const written: number[] = [];
    for (let count = 0; count < 5; count += 1) {
      written.unshift((await mustWrite(api, ada.id)).id);
      await mustWrite(api, grace.id);
    }
    const seen: Listed[] = [];
    for (let path: string | undefined = `${posts}?author_id=${ada.id}&limit=2`; path !== undefined; ) {
      const answer = await api.get(path);
      seen.push(...answer.body.items);
      path = linksOf(answer).next;
    }
    assert.deepEqual(
      seen.map(({ id, author }) => [id, author.username]),
      written.map((id) => [id, 'ada']),
    );
  });

  it('is 422 for an author, a limit or a cursor that is none', async (t) => {
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
