import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeBase64url, encodeBase64url } from '../../../src/auth/jwt/base64url.ts';

describe('base64url', () => {
  it('the encoding is that of RFC 7515, appendix C', () => {
    assert.deepEqual(decodeBase64url('A-z_4ME'), Buffer.from([3, 236, 255, 224, 193]));
    assert.equal(
      encodeBase64url('{"typ":"JWT",\r\n "alg":"HS256"}'),
      'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9',
    );
  });

  const refused: [what: string, text: string][] = [
    ['padding', 'Zg=='],
    ['the alphabet of plain base64', 'A+z/4ME'],
    ['leftover bits', 'Zh'],
    ['an impossible length', 'A'],
    ['a space', 'Zm 9v'],
    ['a space at the end', 'Zm9v '],
    ['a line feed', 'Zm9v\n'],
    ['a character outside of the alphabet', 'Zm9v!'],
    ['a null byte', 'Zm9v\0'],
    ['a letter with an accent', 'Zm9\u00e9'],
    ['a character whose low byte is in the alphabet', 'Zm9\u0176'],
    ['a dot', 'Zm9v.'],
  ];
  for (const [what, text] of refused) {
    it(`the decoder rejects ${what}`, () => assert.equal(decodeBase64url(text), undefined));
  }

  it('the decoder accepts every encoding of Node, and returns the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const decoded = decodeBase64url(Buffer.from(bytes).toString('base64url'));
        assert.deepEqual(decoded, Buffer.from(bytes));
      }),
    );
  });

  it('no two texts decode to the same bytes', () => {
    const character = fc.constantFrom(...'AZaz059-_+/= \n.');
    fc.assert(
      fc.property(fc.string({ unit: character, maxLength: 8 }), (text) => {
        const bytes = decodeBase64url(text);
        if (bytes !== undefined) assert.equal(bytes.toString('base64url'), text);
      }),
      { numRuns: 1000 },
    );
  });
});
