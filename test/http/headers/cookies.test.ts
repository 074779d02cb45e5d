import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { clearHostCookie, readHostCookie, writeHostCookie } from '../../../src/http/headers/cookies.ts';

const read = (header: string | undefined) => readHostCookie(header, 'refresh');

describe('a cookie of this host', () => {
  const found: [header: string, value: string][] = [
    ['__Host-refresh=abc', 'abc'],
    ['a=1; __Host-refresh=abc; b=2', 'abc'],
    ['a=1;__Host-refresh=abc;b=2', 'abc'],
    ['a=1; \t__Host-refresh=abc \t; b=2', 'abc'],
    ['__Host-refresh=', ''],
    ['__Host-refresh=a=b', 'a=b'],
    ['theme="x; __Host-refresh=abc', 'abc'],
    ['junk; =; ;; __Host-refresh=abc; {"json":"of another program"}', 'abc'],
  ];
  for (const [header, value] of found) {
    it(`is read from ${header}`, () => assert.equal(read(header), value));
  }

  const absent: [what: string, header: string | undefined][] = [
    ['no header', undefined],
    ['an empty header', ''],
    ['another name', '__Host-refreshed=abc; refresh=abc; x__Host-refresh=abc'],
    ['its name in another case', '__host-refresh=abc'],
    ['a name without a value', '__Host-refresh'],
    ['a space in the name', '__Host-refresh =abc'],
    ['a name behind a no-break space, which trim() would take away', '\u00a0__Host-refresh=abc'],
    ['a name behind another space of Unicode', '\u0085__Host-refresh=abc; \u2003__Host-refresh=abc'],
    ['the name twice, of which one was planted', '__Host-refresh=abc; __Host-refresh=def'],
    ['the name twice with the same value', '__Host-refresh=abc;__Host-refresh=abc'],
    ['a quoted value', '__Host-refresh="abc"'],
    ['a value with a comma', '__Host-refresh=a,b'],
    ['a value with a space', '__Host-refresh=a b'],
    ['a value with a backslash', '__Host-refresh=a\\b'],
    ['a value with what is not ASCII', '__Host-refresh=\u00e9'],
    ['a name in the style of RFC 2965', '$Version=1, __Host-refresh=abc'],
  ];
  for (const [what, header] of absent) {
    it(`is not read from ${what}`, () => assert.equal(read(header), undefined));
  }

  it('reading a cookie takes time linear in the header, even if it is all spaces', () => {
    const spaces = ' '.repeat(200_000);
    const start = performance.now();
    for (const header of [`__Host-refresh=a${spaces}b`, `${spaces}x${spaces}x`, '; '.repeat(100_000)]) {
      assert.equal(read(header), undefined);
    }
    assert.ok(performance.now() - start < 2000);
  });

  it('a written cookie is limited to this host and HTTPS, and hidden from scripts and other sites', () => {
    assert.equal(
      writeHostCookie('refresh', 'srt_abc', 86_400.9),
      '__Host-refresh=srt_abc; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Strict',
    );
  });

  it('a cookie is deleted with the same name and attributes', () => {
    assert.equal(
      clearHostCookie('refresh'),
      '__Host-refresh=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict',
    );
  });

  it('a name or value that would add attributes or headers is rejected', () => {
    for (const bad of ['a;b', 'a b', 'a\r\nb', 'a"b', 'a,b', 'é', 'a\\b']) {
      assert.throws(() => writeHostCookie('refresh', bad, 1), RangeError, bad);
      assert.throws(() => writeHostCookie(bad, 'value', 1), RangeError, bad);
    }
    assert.throws(() => writeHostCookie('', 'value', 1), RangeError);
  });

  it('a written cookie is read back unchanged among any other cookies', () => {
    const value = fc.stringMatching(/^[A-Za-z0-9_-]{0,100}$/);
    const others = fc.array(fc.stringMatching(/^[a-z]{1,5}=[^;_]{0,20}$/), { maxLength: 5 });
    fc.assert(
      fc.property(value, others, others, (written, before, after) => {
        const [pair = ''] = writeHostCookie('refresh', written, 1).split(';');
        assert.equal(read([...before, pair, ...after].join('; ')), written);
      }),
    );
  });
});
