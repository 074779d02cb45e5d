import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRefreshTokens, openSuccessor, sealSuccessor } from '../../src/auth/refresh-token.ts';
import { testSecret } from '../helpers/test-secret.ts';

const tokens = createRefreshTokens([testSecret]);
const foreign = createRefreshTokens([`${testSecret}x`]);
const sessionId = '0f8fad5b-d9cb-469f-a165-70867728950e';

describe('a refresh token', () => {
  it('a refresh token has a prefix for secret scanners and 80 URL-safe characters', () => {
    assert.match(tokens.issue(sessionId).text, /^srt_[A-Za-z0-9_-]{80}$/);
  });

  it('a refresh token contains its session, and is found by its hash', () => {
    fc.assert(
      fc.property(fc.uuid(), (id) => {
        const issued = tokens.issue(id);
        assert.deepEqual(tokens.read(issued.text), issued);
        assert.equal(issued.sessionId, id);
        assert.equal(issued.genuine, true);
        assert.deepEqual(issued.hash, createHash('sha256').update(issued.text).digest());
      }),
    );
  });

  it('every refresh token is different', () => {
    const made = Array.from({ length: 1000 }, () => tokens.issue(sessionId).text);
    assert.equal(new Set(made).size, made.length);
  });

  it('a refresh token with an additional, missing or foreign character is rejected', () => {
    const { text } = tokens.issue(sessionId);
    for (const other of [
      '',
      'srt_',
      text.slice(4),
      text.slice(0, -1),
      `${text}A`,
      `${text}=`,
      `${text}\n`,
      ` ${text}`,
      text.toUpperCase(),
      `${text.slice(0, -1)}+`,
      `${text.slice(0, -1)}/`,
      `${text.slice(0, -1)}é`,
      text.replace('srt_', 'sak_'),
    ]) {
      assert.equal(tokens.read(other), undefined, JSON.stringify(other));
    }
  });

  it('a modified refresh token is not genuine and has another hash', () => {
    const { text, hash } = tokens.issue(sessionId);
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const change = fc.tuple(fc.integer({ min: 4, max: text.length - 1 }), fc.constantFrom(...alphabet));
    fc.assert(
      fc.property(change, ([at, character]) => {
        fc.pre(text[at] !== character);
        const read = tokens.read(`${text.slice(0, at)}${character}${text.slice(at + 1)}`);
        assert.equal(read?.genuine, false);
        assert.notDeepEqual(read.hash, hash);
      }),
    );
  });

  it('parsing never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.equal(tokens.read(text), undefined);
        assert.notEqual(tokens.read(`srt_${'A'.repeat(80)}`), undefined);
      }),
    );
  });

  it('a refresh token is genuine with any of the configured secrets', () => {
    const { text } = tokens.issue(sessionId);
    assert.equal(foreign.read(text)?.genuine, false);
    assert.equal(createRefreshTokens(['new', testSecret]).read(text)?.genuine, true);
    assert.equal(tokens.read(createRefreshTokens(['new', testSecret]).issue(sessionId).text)?.genuine, false);
  });

  it('refresh tokens cannot be created without a secret', () => {
    assert.throws(() => createRefreshTokens([]), RangeError);
  });
});

describe('a sealed successor', () => {
  const predecessor = tokens.issue(sessionId);
  const successor = tokens.issue(sessionId);

  it('a sealed successor is opened with its predecessor', () => {
    assert.equal(openSuccessor(sealSuccessor(successor, predecessor), predecessor), successor.text);
  });

  it('a sealed successor is opened neither with another token nor with the stored hashes', () => {
    const sealed = sealSuccessor(successor, predecessor);
    assert.throws(() => openSuccessor(sealed, successor));
    assert.throws(() => openSuccessor(sealed, tokens.issue(sessionId)));
    for (const { hash } of [predecessor, successor]) {
      for (const encoding of ['hex', 'base64url', 'latin1'] as const) {
        assert.throws(() => openSuccessor(sealed, { ...predecessor, text: hash.toString(encoding) }));
      }
    }
  });

  it('a sealed successor does not contain the token, and is different each time', () => {
    const sealed = sealSuccessor(successor, predecessor);
    assert.ok(!sealed.includes(successor.text.slice(4, 20)));
    assert.notDeepEqual(sealed, sealSuccessor(successor, predecessor));
  });

  it('a sealed successor with a changed byte, or truncated, is rejected', () => {
    const sealed = sealSuccessor(successor, predecessor);
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed.writeUInt8((sealed.readUInt8(at) + 1) % 256, at);
      assert.throws(() => openSuccessor(changed, predecessor), `byte ${at}`);
      assert.throws(() => openSuccessor(sealed.subarray(0, at), predecessor), `${at} bytes`);
    }
  });

  it('a sealed successor of a session is readable only for its own client', () => {
    const other = tokens.issue(randomUUID());
    assert.throws(() => openSuccessor(sealSuccessor(successor, predecessor), other));
  });
});
