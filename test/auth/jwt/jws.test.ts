import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { encodeBase64url } from '../../../src/auth/jwt/base64url.ts';
import { isSigned, signCompact, splitCompact } from '../../../src/auth/jwt/jws.ts';

interface Vector {
  readonly source: string;
  readonly key: string;
  readonly header: string;
  readonly payload: string;
  readonly token: string;
}

const vectors: readonly Vector[] = [
  {
    source: 'RFC 7515, appendix A.1',
    key: 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
    header: '{"typ":"JWT",\r\n "alg":"HS256"}',
    payload: '{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}',
    token:
      'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9' +
      '.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ' +
      '.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  },
  {
    source: 'RFC 7520, section 4.4',
    key: 'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg',
    header: '{"alg":"HS256","kid":"018c0ae5-4d9b-471b-bfd6-eef314bc7037"}',
    payload:
      'It\u2019s a dangerous business, Frodo, going out your door. You step onto the road, and if you ' +
      "don't keep your feet, there\u2019s no knowing where you might be swept off to.",
    token:
      'eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9' +
      '.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUg' +
      'cm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0' +
      'IGJlIHN3ZXB0IG9mZiB0by4' +
      '.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0',
  },
];

describe('a compact JWS', () => {
  for (const { source, key, header, payload, token } of vectors) {
    const secret = createSecretKey(Buffer.from(key, 'base64url'));

    it(`the signature is exactly that of ${source}`, () => {
      assert.equal(signCompact(encodeBase64url(header), payload, 'HS256', secret), token);
    });

    it(`the JWS of ${source} is valid, but not with another algorithm or another key`, () => {
      const jws = splitCompact(token);
      assert.ok(jws);
      assert.equal(isSigned(jws, 'HS256', secret), true);
      assert.equal(isSigned(jws, 'HS512', secret), false);
      assert.equal(isSigned(jws, 'HS256', createSecretKey(Buffer.alloc(64, 1))), false);
    });
  }

  it('a compact JWS has exactly three parts', () => {
    assert.deepEqual(splitCompact('a.b.c'), {
      header: 'a',
      payload: 'b',
      signature: 'c',
      signingInput: 'a.b',
    });
    for (const text of ['', 'a', 'a.b', 'a.b.c.d', 'a.b.c.'])
      assert.equal(splitCompact(text), undefined, text);
  });
});
