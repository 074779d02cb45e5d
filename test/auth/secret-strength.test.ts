import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { JwtAlgorithm } from '../../src/auth/jws.ts';
import { publishedSecrets } from '../../src/auth/published-secrets.ts';
import { weakness } from '../../src/auth/secret-strength.ts';
import { jwtSecret } from '../helpers/minted-token.ts';

const guessed = /^is a placeholder, an example, or made of words/;
const repeated = /^repeats a text that is shorter than the 32 bytes that HS256 needs$/;
const few = /^has fewer than 8 different characters$/;

describe('a secret is weak if it', () => {
  const table: [secret: string, answer: RegExp, algorithm?: JwtAlgorithm][] = [
    ['', /^is shorter than the 32 bytes that HS256 needs$/],
    ['secret', /^is shorter than the 32 bytes/],
    [jwtSecret.slice(0, 31), /^is shorter than the 32 bytes/],
    [jwtSecret.slice(0, 47), /^is shorter than the 48 bytes that HS384 needs$/, 'HS384'],
    [jwtSecret.slice(0, 63), /^is shorter than the 64 bytes that HS512 needs$/, 'HS512'],
    ['x'.repeat(64), few],
    ['abcabcabcabcabcabcabcabcabcabcabcabc', few],
    ['deadbeefdeadbeefdeadbeefdeadbeef', few],
    ['supersecretkeysupersecretkeysupersecretkey', repeated],
    ['keyboard cat keyboard cat keyboard cat', repeated],
    ['0123456789abcdef0123456789abcdef', repeated],
    [jwtSecret.slice(0, 20).repeat(2), repeated],
    ['shhhhh, this is a secret, do not tell!', guessed],
    ['a-string-secret-at-least-256-bits-long', guessed],
    ['a-valid-string-secret-that-is-at-least-384-bits-long', guessed],
    ['a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long', guessed, 'HS512'],
    ['your-super-secret-jwt-token-with-at-least-32-characters-long', guessed],
    ['your_super_secret_jwt_key_change_this_in_production', guessed],
    ['YOUR-256-BIT-SECRET-YOUR-512-BIT-SECRET', guessed],
    ['<replace-me-with-openssl-rand-hex-32>', guessed],
    ['ThisIsAVerySecureJwtSecretKeyForMyApplication', guessed],
    ['reallyreallyreallyreallyverysafe', guessed],
    ['your-256-bit-secret-1234567890123', guessed],
    ['SecretKey01234567890123456789012345678901234567890', guessed],
    ['changeme-changeme-changeme-changem', repeated],
    ['abcdefghijklmnopqrstuvwxyz0123456789', guessed],
    ['zyxwvutsrqponmlkjihgfedcba9876543210', guessed],
    ['00112233445566778899aabbccddeeff', guessed],
    ['aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffgggggggghhhhhhhh', guessed],
    ['qwertyuiopasdfghjklzxcvbnm123456', guessed],
  ];
  for (const [secret, answer, algorithm = 'HS256'] of table) {
    it(`is "${secret}" for ${algorithm}`, () =>
      assert.match(weakness(secret, algorithm) ?? 'strong', answer));
  }

  for (const secret of publishedSecrets) {
    it(`stands in the documentation of others: "${secret.slice(0, 8)}...", in any case, and with more behind it`, () => {
      for (const each of [secret, secret.toUpperCase(), secret.toLowerCase(), `${secret}-2026`]) {
        assert.match(weakness(each, 'HS256') ?? 'strong', guessed);
      }
    });
  }
});

describe('a secret is not weak if it', () => {
  it('comes from openssl rand, for any algorithm that it is long enough for', () => {
    const random = fc.noShrink(fc.integer({ min: 0, max: 32 }).map((more) => randomBytes(32 + more)));
    fc.assert(
      fc.property(random, (bytes) => {
        for (const encoding of ['hex', 'base64', 'base64url'] as const) {
          assert.equal(weakness(bytes.toString(encoding), 'HS256'), undefined);
        }
        assert.equal(weakness(bytes.toString('hex'), 'HS512'), undefined);
      }),
      { numRuns: 2000 },
    );
  });

  const table: [what: string, secret: string][] = [
    ['has a label before what is random', 'my-jwt-secret-9fQz7LxT2mVbR8wKc4Hd6Y'],
    [
      'is written in letters that take several bytes',
      '\u5b89\u5168\u306a\u79d8\u5bc6\u9375\u66f8\u6d77\u7a7a\u68ee\u9ce5',
    ],
    ['has punctuation', 'k#9$Lw!2@pQ^7&zX*4(mN)1_vB+5=rT{8'],
  ];
  for (const [what, secret] of table) {
    it(what, () => assert.equal(weakness(secret, 'HS256'), undefined));
  }
});

it('what is said about a secret holds no part of it', () => {
  for (const secret of ['hunter2', 'hunter2!'.repeat(5), 'hunter-secret-secret-secret-secret-2']) {
    assert.ok(!(weakness(secret, 'HS256') ?? 'hunter').includes('hunter'));
  }
});
