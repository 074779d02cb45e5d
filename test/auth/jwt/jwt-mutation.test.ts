/**
 * Modified tokens: none is valid, each is rejected with a TokenError, and none takes long. The modifications are made to
 * the text of a valid token, and also to signed content, as by an attacker who has the key.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createJwt } from '../../../src/auth/jwt/jwt.ts';
import { TokenError } from '../../../src/auth/jwt/token-error.ts';
import {
  jwtClaims as claims,
  decodePart,
  encodePart,
  mintSecret,
  mintToken,
  jwtNow as now,
  signParts,
} from '../../helpers/minted-token.ts';

const jwt = createJwt({
  algorithm: 'HS256',
  secrets: [mintSecret, `${mintSecret}!`],
  issuer: claims.iss,
  audience: claims.aud,
  leewaySeconds: 5,
});
const good = jwt.sign({ subject: '42', sessionId: claims.sid, lifetimeSeconds: 600 }, now);
const header = decodePart(good, 0);

/** Returns whether the token is accepted. Throws any error other than a TokenError. */
function isTaken(token: string): boolean {
  try {
    jwt.verify(token, now);
    return true;
  } catch (error) {
    if (error instanceof TokenError) return false;
    throw error;
  }
}

/** Returns the fastest of several runs in milliseconds, because a busy machine may interrupt single runs. */
function quickest(token: string): number {
  let best = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 10 && best >= 0.5; tries += 1) {
    const start = performance.now();
    isTaken(token);
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const position = fc.nat({ max: good.length });
const piece = fc.oneof(
  fc.constantFrom(...'.=+/-_ AaZz09\n\0"{}', '\u00e9', '\u2024', '\ud800'),
  fc.base64String({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

const mutation: fc.Arbitrary<string> = fc.oneof(
  fc
    .tuple(position, position, piece)
    .map(([at, to, text]) => good.slice(0, at) + text + good.slice(Math.max(at, to))),
  fc.tuple(position, piece).map(([at, text]) => good.slice(0, at) + text + good.slice(at)),
  fc.tuple(position, piece).map(([at, text]) => good.slice(0, at) + text + good.slice(at + text.length)),
  fc.tuple(position, position).map(([at, to]) => good.slice(Math.min(at, to), Math.max(at, to))),
  fc.tuple(position, position).map(([at, to]) => good.slice(0, at) + good.slice(to)),
  fc.shuffledSubarray(good.split('.'), { minLength: 1 }).map((parts) => parts.join('.')),
  fc
    .tuple(fc.nat({ max: 2 }), fc.nat({ max: 250 }), fc.nat({ max: 7 }))
    .map(([part, byte, bit]) => flipBit(part, byte, bit)),
  position.map((at) => good.slice(0, at) + good.slice(at).toUpperCase()),
);

/** Returns the valid token with one bit of one part flipped. */
function flipBit(part: number, byte: number, bit: number): string {
  const parts = good.split('.');
  const bytes = Buffer.from(parts[part] ?? '', 'base64url');
  bytes.writeUInt8(bytes.readUInt8(byte % bytes.length) ^ (1 << bit), byte % bytes.length);
  return parts.with(part, bytes.toString('base64url')).join('.');
}

describe('a modified token', () => {
  it('a modified token is rejected with a TokenError in less than a millisecond', () => {
    fc.assert(
      fc.property(mutation, (token) => {
        assert.equal(isTaken(token), token === good);
        assert.ok(quickest(token) < 1);
      }),
      { numRuns: 3000 },
    );
  });

  it('a token is rejected with any letter replaced by any other letter of the alphabet', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const signature = good.lastIndexOf('.') + 1;
    for (let at = signature; at < good.length; at += 1) {
      for (const letter of alphabet.replace(good.charAt(at), '')) {
        assert.equal(isTaken(good.slice(0, at) + letter + good.slice(at + 1)), false, `${letter} at ${at}`);
      }
    }
  });
});

describe('a token with a valid signature', () => {
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  const json = fc.json({ maxDepth: 3 });
  const changed = (of: object) =>
    fc
      .tuple(fc.constantFrom(...Object.keys(of)), fc.jsonValue())
      .map(([name, value]) => ({ ...of, [name]: value }));

  it('a token with any signed content is rejected with a TokenError, or has claims of the right types', () => {
    const payload = fc.oneof(bytes, json, changed(claims));
    const headers = fc.oneof(fc.constant(header), bytes, json, changed(header));
    fc.assert(
      fc.property(headers, payload, (header, payload) => {
        const token = mintToken({ header, payload });
        if (!isTaken(token)) return;
        const { iss, sub, sid, jti, iat, nbf, exp } = jwt.verify(token, now);
        assert.equal(iss, claims.iss);
        for (const id of [sub, sid, jti]) assert.ok(typeof id === 'string' && id !== '');
        for (const time of [iat, nbf, exp]) assert.ok(Number.isSafeInteger(time));
        assert.ok(iat < exp && now < exp + 5);
      }),
      { numRuns: 1000 },
    );
  });

  it('a token with letters outside base64url is rejected', () => {
    const letters = fc.string({ unit: 'binary-ascii', maxLength: 30 });
    fc.assert(fc.property(letters, letters, (header, payload) => !isTaken(signParts(header, payload))));
  });
});

it('arbitrary text is rejected with a TokenError', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.array(fc.base64String(), { maxLength: 5 }).map((parts) => parts.join('.')),
  );
  fc.assert(fc.property(text, (token) => !isTaken(token)));
});

describe('a token that is meant to be slow to parse is rejected in less than a millisecond:', () => {
  const deep = (open: string, close: string, times: number) =>
    `{"a":${open.repeat(times)}1${close.repeat(times)}}`;
  const table: [what: string, header: string][] = [
    ['nested lists', deep('[', ']', 1450)],
    ['nested objects', deep('{"a":', '}', 480)],
    ['lists that are never closed', '['.repeat(2900)],
    ['many members', `{${Array.from({ length: 350 }, (_, index) => `"${index}":0`).join()}}`],
    ['many escapes', `{"a":"${'\\u0022'.repeat(480)}"}`],
    ['many quotation marks', '"'.repeat(2900)],
    ['an unterminated text', `{"a":"${'\\\\'.repeat(1400)}`],
    ['a long number', `{"a":${'9'.repeat(2900)}}`],
  ];
  for (const [what, header] of table) {
    it(`a token with ${what} is rejected fast`, () => {
      const token = `${encodePart(header)}.e30.AA`;
      assert.ok(token.length > 3000 && token.length <= 4096);
      assert.equal(isTaken(token), false);
      assert.ok(quickest(token) < 1);
    });
  }

  it('a token of a megabyte is rejected fast', () => {
    for (const text of ['a', '.', '{', '\u00e9']) {
      const token = text.repeat(1_000_000);
      assert.equal(isTaken(token), false);
      assert.ok(quickest(token) < 0.1);
    }
  });
});
