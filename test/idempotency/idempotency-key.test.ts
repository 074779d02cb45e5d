import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  digestRequest,
  parseIdempotencyKey,
  type RequestIdentity,
} from '../../src/idempotency/idempotency-key.ts';

describe('a key', () => {
  const longest = 'k'.repeat(255);
  for (const [field, key] of [
    ['"8e03978e-40d5-43dd-bc93-6894a57f9324"', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
    ['a', 'a'],
    ['a,b;c=1', 'a,b;c=1'],
    ['a\\b', 'a\\b'],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    [longest, longest],
    [`"${longest}"`, longest],
  ] as const) {
    it(`is taken from ${field.slice(0, 50)}`, () => assert.equal(parseIdempotencyKey(field), key));
  }

  for (const [what, field] of [
    ['empty', ''],
    ['an empty string', '""'],
    ['256 characters', `${longest}k`],
    ['256 characters in quotes', `"${longest}k"`],
    ['one with a space', 'a b'],
    ['one with a space in quotes', '"a b"'],
    ['one that is no ASCII', 'clé'],
    ['one that is no ASCII in quotes', '"clé"'],
    ['without its last quote', '"abc'],
    ['without its first quote', 'abc"'],
    ['with an escape of nothing', '"a\\bc"'],
    ['with parameters', '"abc";v=1'],
    ['sent twice', 'abc, def'],
    ['sent twice in quotes', '"abc", "def"'],
  ] as const) {
    it(`is refused when it is ${what}`, () => assert.equal(parseIdempotencyKey(field), undefined));
  }

  it('is the same quoted and bare', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~]{1,127}$/), (key) => {
        const quoted = `"${key.replace(/["\\]/g, '\\$&')}"`;
        assert.equal(parseIdempotencyKey(quoted), key);
        if (!key.includes('"')) assert.equal(parseIdempotencyKey(key), key);
      }),
    );
  });
});

describe('the digests of a request', () => {
  const asked: RequestIdentity = {
    method: 'POST',
    path: '/users',
    query: '',
    contentType: 'application/json',
    ifMatch: '"1"',
    authority: 'session admin',
    body: Buffer.from('{"password":"secret"}'),
  };

  it('are the same for the same request', () => {
    assert.deepEqual(
      digestRequest('key', asked),
      digestRequest('key', { ...asked, body: Buffer.from('{"password":"secret"}') }),
    );
  });

  for (const [what, other] of [
    ['another method', { method: 'PATCH' }],
    ['another path', { path: '/notes' }],
    ['another query', { query: 'a=1' }],
    ['another border between path and query', { path: '/user', query: 's' }],
    ['another content type', { contentType: 'application/merge-patch+json' }],
    ['a missing content type', { contentType: undefined }],
    ['another condition', { ifMatch: '"2"' }],
    ['no condition', { ifMatch: undefined }],
    ['a second condition', { ifNoneMatch: '*' }],
    ['another role', { authority: 'session user' }],
    ['another kind of credential', { authority: 'apiKey admin' }],
    ['no caller', { authority: undefined }],
    ['another body', { body: Buffer.from('{"password":"Secret"}') }],
    ['a missing body', { body: undefined }],
  ] as const) {
    it(`differ by ${what}, but not in the key`, () => {
      const [one, two] = [digestRequest('key', asked), digestRequest('key', { ...asked, ...other })];
      assert.deepEqual(one.key, two.key);
      assert.notDeepEqual(one.fingerprint, two.fingerprint);
    });
  }

  it('cannot be computed by somebody who knows the request but not the key', () => {
    const [one, two] = [digestRequest('key', asked), digestRequest('other', asked)];
    assert.notDeepEqual(one.key, two.key);
    assert.notDeepEqual(one.fingerprint, two.fingerprint);
  });
});
