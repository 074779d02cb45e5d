import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { pathReference } from '../../src/http/path-reference.ts';

const base = 'http://api.example/elsewhere?x=1';

describe('the path of a request as a URI reference', () => {
  const table: [target: string, reference: string | undefined][] = [
    ['/', '/'],
    ['/api/v1/users?limit=1', '/api/v1/users'],
    ['/a%20b', '/a%20b'],
    ['/a%2fb', '/a%2fb'],
    ['//evil.example/x', '/.//evil.example/x'],
    ['///x', '/.///x'],
    ['/a//b', '/a//b'],
    ['/a"<b>', '/a%22%3Cb%3E'],
    ['/a\\b', '/a%5Cb'],
    ['/a#b', '/a%23b'],
    ['/%zz', '/%25zz'],
    ['/\u00e9', '/%E9'],
    ['/a:b', '/a:b'],
    ['http://api.example/a?b', '/a'],
    ['HTTPS://api.example//a', '/.//a'],
    ['http://api.example', '/'],
    ['http://api.example?b', '/'],
    ['*', undefined],
    ['/a/../b', undefined],
    ['/a/%2E%2e', undefined],
    ['/./a', undefined],
    ['/..a', '/..a'],
    [`/${'a'.repeat(1000)}`, undefined],
    ['api.example:443', undefined],
  ];
  for (const [target, reference] of table) {
    it(`the path reference of ${target.slice(0, 40)} is ${reference ?? 'undefined'}`, () =>
      assert.equal(pathReference(target), reference));
  }

  it('every path reference resolves to its path on the same host', () => {
    const piece = fc.oneof(
      fc.constantFrom('/', '//', '.', '..', '%', '%2e', '%zz', ':', '@', '\\', '"', '#'),
      fc.string(),
    );
    const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('').replaceAll('?', '')}`);
    fc.assert(
      fc.property(path, (target) => {
        const reference = pathReference(target);
        if (reference === undefined) return;
        assert.match(reference, /^(?:[\w\-.~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})+$/);
        const { host, pathname } = new URL(reference, base);
        assert.equal(host, 'api.example');
        const bytes = (text: string) =>
          text.replace(/%([0-9A-Fa-f]{2})/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
        assert.equal(bytes(pathname), bytes(target));
      }),
      { numRuns: 1000 },
    );
  });
});
