import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createOneTimeToken, hashOneTimeToken } from '../../src/auth/one-time-token.ts';

describe('a one-time token', () => {
  it('a one-time token has a recognisable prefix and 256 random bits', () => {
    const tokens = Array.from({ length: 100 }, () => createOneTimeToken().token);
    for (const token of tokens) {
      assert.match(token, /^sot_[A-Za-z0-9_-]{43}$/);
      assert.equal(Buffer.from(token.slice(4), 'base64url').length, 32);
    }
    assert.equal(new Set(tokens).size, tokens.length);
  });

  it('a one-time token is stored and found by its SHA-256', () => {
    const { token, hash } = createOneTimeToken();
    assert.deepEqual(hash, createHash('sha256').update(token).digest());
    assert.deepEqual(hashOneTimeToken(token), hash);
  });

  it('a malformed text is not a one-time token', () => {
    const { token } = createOneTimeToken();
    for (const text of [
      '',
      'sot_',
      token.slice(0, -1),
      `${token}A`,
      `${token}\n`,
      ` ${token}`,
      token.toUpperCase(),
    ])
      assert.equal(hashOneTimeToken(text), undefined, text);
    assert.equal(hashOneTimeToken(token.replace('sot_', 'srt_')), undefined);
  });

  it('a one-time token with one changed character has another hash', () => {
    const { token, hash } = createOneTimeToken();
    const letters = fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
    fc.assert(
      fc.property(fc.integer({ min: 4, max: token.length - 1 }), letters, (at, letter) => {
        fc.pre(token[at] !== letter);
        const changed = token.slice(0, at) + letter + token.slice(at + 1);
        assert.notDeepEqual(hashOneTimeToken(changed), hash);
      }),
    );
  });
});
