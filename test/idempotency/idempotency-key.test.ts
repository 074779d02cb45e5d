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
    it(`a key is read from ${field.slice(0, 50)}`, () => assert.equal(parseIdempotencyKey(field), key));
  }

  for (const [what, field] of [
    ['empty', ''],
    ['an empty string', '""'],
    ['256 characters', `${longest}k`],
    ['256 characters in quotes', `"${longest}k"`],
    ['a text with a space', 'a b'],
    ['a quoted text with a space', '"a b"'],
    ['a text that is not ASCII', 'clé'],
    ['a quoted text that is not ASCII', '"clé"'],
    ['a text without its closing quotation mark', '"abc'],
    ['a text without its opening quotation mark', 'abc"'],
    ['a text with an invalid escape', '"a\\bc"'],
    ['a text with parameters', '"abc";v=1'],
    ['two values', 'abc, def'],
    ['two quoted values', '"abc", "def"'],
  ] as const) {
    it(`a key that is ${what} is rejected`, () => assert.equal(parseIdempotencyKey(field), undefined));
  }

  it('a quoted key equals the bare key', () => {
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

  it('the digests are equal for equal requests', () => {
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
    it(`the fingerprint differs with ${what}, and the digest of the key does not`, () => {
      const [one, two] = [digestRequest('key', asked), digestRequest('key', { ...asked, ...other })];
      assert.deepEqual(one.key, two.key);
      assert.notDeepEqual(one.fingerprint, two.fingerprint);
    });
  }

  it('the fingerprint cannot be computed from the request without the key', () => {
    const [one, two] = [digestRequest('key', asked), digestRequest('other', asked)];
    assert.notDeepEqual(one.key, two.key);
    assert.notDeepEqual(one.fingerprint, two.fingerprint);
  });
});
