import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseTarget } from '../../src/http/target.ts';

const parse = (raw: string, blockNullBytes = true) => parseTarget(raw, { blockNullBytes });

describe('a request target', () => {
  const taken: [raw: string, path: string, query: string, authority?: string][] = [
    ['/', '/', ''],
    ['/users?limit=1', '/users', 'limit=1'],
    ['/users?', '/users', ''],
    ['/users?a=?b', '/users', 'a=?b'],
    ['/caf%C3%A9', '/café', ''],
    ['/a%20b', '/a b', ''],
    ['/a%2Eb', '/a.b', ''],
    ['/a%252Fb', '/a%2Fb', ''],
    ['/../x', '/../x', ''],
    ['//', '//', ''],
    ['//evil.example/x', '//evil.example/x', ''],
    ['/x?q=%2F%5C', '/x', 'q=%2F%5C'],
    ['/x?q=%0A', '/x', 'q=%0A'],
    ['*', '*', ''],
    ['http://example.org/a?b=c', '/a', 'b=c', 'example.org'],
    ['HTTPS://Example.org:8443/a', '/a', '', 'Example.org:8443'],
    ['http://example.org', '/', '', 'example.org'],
    ['http://example.org?b=c', '/', 'b=c', 'example.org'],
    ['http://[::1]:80/a', '/a', '', '[::1]:80'],
  ];
  for (const [raw, path, query, authority] of taken) {
    it(`the target "${raw}" has the path ${path}${query && `, the query ${query}`}${authority ? `, the host ${authority}` : ''}`, () => {
      assert.deepEqual(parse(raw), { raw, path, query, ...(authority !== undefined && { authority }) });
    });
  }

  const refused: [raw: string, sentence: RegExp][] = [
    ['', /must be a path/],
    ['users', /must be a path/],
    ['example.org:443', /must be a path/],
    ['http://', /must be a path/],
    ['http:///a', /must be a path/],
    ['http://user:secret@example.org/', /must be a path/],
    ['ftp://example.org/', /must be a path/],
    ['javascript:alert(1)', /must be a path/],
    ['/a#b', /must be percent-encoded/],
    ['/a?b#c', /must be percent-encoded/],
    ['/a\\b', /must be percent-encoded/],
    ['/a b', /must be percent-encoded/],
    ['/a\x00', /must be percent-encoded/],
    ['/a\x7f', /must be percent-encoded/],
    ['/café', /must be percent-encoded/],
    ['/a?b=\xe9', /must be percent-encoded/],
    ['/%', /two hexadecimal digits/],
    ['/%4', /two hexadecimal digits/],
    ['/%zz', /two hexadecimal digits/],
    ['/a?b=%zz', /two hexadecimal digits/],
    ['/a%00', /null byte/],
    ['/a?b=%00', /null byte/],
    ['/a%0d%0aX', /control character/],
    ['/a%1f', /control character/],
    ['/a%7F', /control character/],
    ['/a%2fb', /encoded slash/],
    ['/a%2Fb', /encoded slash/],
    ['/a%5Cb', /encoded slash/],
    ['/%ff', /not as UTF-8/],
    ['/%C3', /not as UTF-8/],
    ['/%ED%A0%80', /not as UTF-8/],
    ['/a?b=%ff', /not as UTF-8/],
  ];
  for (const [raw, sentence] of refused) {
    it(`the target ${JSON.stringify(raw)} is rejected with the reason`, () =>
      assert.match(parse(raw).error ?? '', sentence));
  }

  it('a target may have null bytes if they are not blocked, and no other control character', () => {
    assert.equal(parse('/a%00?b=%00', false).error, undefined);
    assert.equal(parse('/a%00', false).path, '/a\0');
    assert.match(parse('/a%00%01', false).error ?? '', /control character/);
  });

  it('parsing any target does not throw, and a valid path has no control character and is well-formed Unicode', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(fc.constantFrom('/', '?', '%', '#', '\\', '2F', '00', 'C3', 'A9', 'a', 'http://', '[', '@'))
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(anything, (raw) => {
        const { path, error } = parse(raw);
        if (error === undefined) assert.ok(!/[\x00-\x1f\x7f]/.test(path) && path.isWellFormed());
        else assert.match(error, /^The .*\.$/);
      }),
      { numRuns: 2000 },
    );
  });
});
