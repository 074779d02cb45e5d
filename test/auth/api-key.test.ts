import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createApiKey, parseApiKey } from '../../src/auth/api-key.ts';

describe('an API key', () => {
  it('an API key has a format that secret scanners can find', () => {
    for (let count = 0; count < 1000; count += 1) assert.match(createApiKey().text, /^sak_[0-9A-Za-z]{50}$/);
  });

  it('every API key is different, and secrets use all letters and digits', () => {
    const secrets = Array.from({ length: 1000 }, () => createApiKey().text.slice(4, 47));
    assert.equal(new Set(secrets).size, 1000);
    assert.equal(new Set(secrets.join('')).size, 62);
  });

  it('a parsed API key has its SHA-256 and the 8 characters to show', () => {
    const key = createApiKey();
    assert.deepEqual(parseApiKey(key.text), key);
    assert.equal(key.prefix, key.text.slice(0, 8));
    assert.equal(key.hash.toString('hex'), createHash('sha256').update(key.text).digest('hex'));
  });

  it('the checksum of an API key is stable, so that existing keys stay valid', () => {
    const text = 'sak_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg1tdhh0x';
    assert.equal(parseApiKey(text)?.text, text);
  });

  it('an API key with one changed character is rejected', () => {
    const { text } = createApiKey();
    const characters = fc.constantFrom(...'09azAZ_- é');
    fc.assert(
      fc.property(fc.nat(text.length - 1), characters, (at, character) => {
        fc.pre(text.charAt(at) !== character);
        return parseApiKey(text.slice(0, at) + character + text.slice(at + 1)) === undefined;
      }),
    );
  });

  const { text } = createApiKey();
  for (const [what, other] of [
    ['nothing', ''],
    ['a space before it', ` ${text}`],
    ['a line break after it', `${text}\n`],
    ['a character too many', `${text}0`],
    ['a character too few', text.slice(0, -1)],
    ['the prefix only', 'sak_'],
    ['the prefix of another kind of token', text.replace('sak_', 'srt_')],
    ['a second copy of the key', text + text],
  ] as const) {
    it(`an API key is rejected with ${what}`, () => assert.equal(parseApiKey(other), undefined));
  }

  it('arbitrary text is never an API key, and parsing it never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => parseApiKey(text) === undefined));
  });
});
