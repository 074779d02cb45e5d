import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pageBody, pageLinks, pageQuery, positionOf } from '../../../src/http/parameters/pagination.ts';

const cursorOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('the query of a list', () => {
  it('an empty query requests the first 20 items', () => {
    const query = pageQuery.parse({});
    assert.deepEqual(query, { limit: 20 });
    assert.equal(positionOf(query), undefined);
  });

  it('a page starts at the position of the cursor', () => {
    const { next_cursor } = pageBody({ items: [], older: { side: 'older', id: 42 }, newer: undefined });
    assert.deepEqual(positionOf(pageQuery.parse({ cursor: next_cursor })), { side: 'older', id: 42 });
  });

  for (const [what, cursor] of [
    ['empty text', ''],
    ['no base64', '%%%'],
    ['no JSON', Buffer.from('{').toString('base64url')],
    ['another value', cursorOf(42)],
    ['another side', cursorOf({ side: 'left', id: 1 })],
    ['an id of 0', cursorOf({ side: 'older', id: 0 })],
    ['an id that is no integer', cursorOf({ side: 'older', id: 1.5 })],
    ['an id that is text', cursorOf({ side: 'older', id: '1' })],
    ['more than it should hold', cursorOf({ side: 'older', id: 1, where: 'true' })],
    ['over 200 characters', cursorOf({ side: 'older', id: 1 }).padEnd(201, 'A')],
  ] as const) {
    it(`a query is rejected if its cursor is ${what}`, () => {
      const issues = pageQuery.safeParse({ cursor }).error?.issues ?? [];
      assert.ok(issues.length > 0);
      for (const { path, message } of issues) {
        assert.deepEqual(path, ['cursor']);
        assert.equal(message, 'Use a cursor from an earlier response.');
      }
    });
  }
});

describe('the links of a page', () => {
  const older = { side: 'older', id: 5 } as const;
  const newer = { side: 'newer', id: 9 } as const;

  it('a list with a single page has no links', () => {
    const page = { items: [], older: undefined, newer: undefined };
    assert.deepEqual(pageLinks('/users', { limit: 20 }, page), {});
  });

  it('the links lead to the neighbours and the first page, with the same limit and filter', () => {
    const query = { limit: 2, cursor: cursorOf(older), author_id: 7 };
    const { link = '' } = pageLinks('/notes', query, { items: [], older, newer });
    const links = Array.from(link.matchAll(/<([^>]*)>; rel="([^"]*)"/g), ([, target = '', rel]) => {
      const url = new URL(target, 'http://localhost');
      assert.equal(url.pathname, '/notes');
      assert.equal(url.searchParams.get('limit'), '2');
      assert.equal(url.searchParams.get('author_id'), '7');
      return { rel, cursor: url.searchParams.get('cursor') };
    });
    assert.deepEqual(links, [
      { rel: 'next', cursor: cursorOf(older) },
      { rel: 'prev', cursor: cursorOf(newer) },
      { rel: 'first', cursor: null },
    ]);
  });
});
