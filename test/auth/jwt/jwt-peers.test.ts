/**
 * Interoperability: other libraries accept our tokens, and we accept theirs. All four reject invalid tokens. If a library
 * accepts a token that we reject, the row names it, and the group states our reason.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSigner, createVerifier } from 'fast-jwt';
import * as jose from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { createJwt } from '../../../src/auth/jwt/jwt.ts';
import {
  jwtClaims as claims,
  decodePart,
  encodePart,
  mintToken,
  jwtNow as now,
  mintSecret as secret,
  signParts,
} from '../../helpers/minted-token.ts';

const leewaySeconds = 5;
const algorithms = ['HS256', 'HS384', 'HS512'] as const;
type Algorithm = (typeof algorithms)[number];

const ours = (algorithm: Algorithm) =>
  createJwt({ algorithm, secrets: [secret], issuer: claims.iss, audience: claims.aud, leewaySeconds });

const request = { subject: claims.sub, sessionId: claims.sid, lifetimeSeconds: 600 };
const keyId = String(decodePart(ours('HS256').sign(request, now), 0).kid);

interface Peer {
  readonly name: 'jose' | 'fast-jwt' | 'jsonwebtoken';
  /** Signs the claims of an access token. */
  sign(algorithm: Algorithm): Promise<string> | string;
  /** Returns the claims of a valid token; throws or rejects for any other. Configured as strictly as possible. */
  verify(token: string, algorithm: Algorithm): unknown;
}

const peers: readonly Peer[] = [
  {
    name: 'jose',
    sign: (alg) =>
      new jose.SignJWT(claims)
        .setProtectedHeader({ alg, typ: 'at+jwt', kid: keyId })
        .sign(Buffer.from(secret)),
    verify: async (token, algorithm) => {
      const { payload } = await jose.jwtVerify(token, Buffer.from(secret), {
        algorithms: [algorithm],
        issuer: claims.iss,
        audience: claims.aud,
        typ: 'at+jwt',
        requiredClaims: Object.keys(claims),
        clockTolerance: leewaySeconds,
        currentDate: new Date(now * 1000),
      });
      return payload;
    },
  },
  {
    name: 'fast-jwt',
    sign: (algorithm) =>
      createSigner({ key: secret, algorithm, header: { alg: algorithm, typ: 'at+jwt', kid: keyId } })({
        ...claims,
      }),
    verify: (token, algorithm) =>
      createVerifier({
        key: secret,
        algorithms: [algorithm],
        allowedIss: claims.iss,
        allowedAud: claims.aud,
        checkTyp: 'at+jwt',
        requiredClaims: Object.keys(claims),
        clockTolerance: leewaySeconds * 1000,
        clockTimestamp: now * 1000,
      })(token),
  },
  {
    name: 'jsonwebtoken',
    sign: (algorithm) =>
      jsonwebtoken.sign({ ...claims }, secret, {
        algorithm,
        header: { alg: algorithm, typ: 'at+jwt', kid: keyId },
      }),
    verify: (token, algorithm) =>
      jsonwebtoken.verify(token, secret, {
        algorithms: [algorithm],
        issuer: claims.iss,
        audience: claims.aud,
        clockTolerance: leewaySeconds,
        clockTimestamp: now,
      }),
  },
];

describe('tokens go both ways', () => {
  for (const peer of peers) {
    for (const algorithm of algorithms) {
      it(`${peer.name} accepts our token signed with ${algorithm}`, async () => {
        const token = ours(algorithm).sign(request, now);
        assert.deepEqual(await peer.verify(token, algorithm), decodePart(token, 1));
      });

      it(`we accept the token of ${peer.name} signed with ${algorithm}`, async () => {
        assert.deepEqual(ours(algorithm).verify(await peer.sign(algorithm), now), claims);
      });
    }
  }
});

const header = { alg: 'HS256', typ: 'at+jwt', kid: keyId };
const good = mintToken({ header });
const [h = '', p = '', s = ''] = good.split('.');
const withHeader = (change: object) => mintToken({ header: { ...header, ...change } });
const withClaims = (change: object) => mintToken({ header, payload: { ...claims, ...change } });
const withPayload = (payload: string | Buffer) => mintToken({ header, payload });
const json = JSON.stringify(claims);

/** Returns another text for the same bytes: its leftover bits are not zero. */
function withLeftOverBits(part: string): string {
  return `${part.slice(0, -1)}${String.fromCharCode(part.charCodeAt(part.length - 1) + 1)}`;
}

const rejectedByAll: [what: string, token: string][] = [
  ['nothing', ''],
  ['two parts', `${h}.${p}`],
  ['four parts', `${good}.${s}`],
  ['no signature', `${h}.${p}.`],
  ['the algorithm none', `${encodePart({ ...header, alg: 'none' })}.${p}.`],
  ['an algorithm that is not in use', mintToken({ header: { ...header, alg: 'HS512' }, hash: 'sha512' })],
  ['another secret', mintToken({ header, secret: `${secret}.` })],
  ['another payload under the signature', `${h}.${encodePart({ ...claims, sub: '1' })}.${s}`],
  ['another header over the signature', `${encodePart({ ...header, kid: 'a' })}.${p}.${s}`],
  ['half of the signature', `${h}.${p}.${s.slice(0, 20)}`],
  ['the signature in plain base64', `${h}.${p}.${Buffer.from(s, 'base64url').toString('base64')}`],
  ['a space at the beginning', ` ${good}`],
  ['a header that is not JSON', signParts(encodePart('{'), p)],
  ['a payload that is not JSON', withPayload('{')],
  ['a payload that is a list', withPayload('[]')],
  ['an expiry in the past', withClaims({ exp: now - 60 })],
  ['a start in the future', withClaims({ nbf: now + 60 })],
  ['another issuer', withClaims({ iss: 'other' })],
  ['another audience', withClaims({ aud: 'other' })],
  ['no audience', withClaims({ aud: undefined })],
  ['a text as its expiry', withClaims({ exp: String(now + 60) })],
];

type Row = [what: string, token: string, acceptedByOthers: readonly Peer['name'][]];

const all = ['jose', 'fast-jwt', 'jsonwebtoken'] as const;

/** Tokens that we reject and others accept, by our reason. */
const rejectedByUs: Readonly<Record<string, readonly Row[]>> = {
  'a token must have one spelling, so that a revoked or recorded token cannot return in another one': [
    ['padding after the header', signParts(`${h}=`, p), ['jose']],
    ['padding after the signature', `${good}=`, ['jose']],
    ['a line feed at the end', `${good}\n`, ['jose']],
    ['leftover bits in the signature', `${h}.${p}.${withLeftOverBits(s)}`, ['jose', 'fast-jwt']],
    ['leftover bits in the payload', signParts(h, withLeftOverBits(encodePart(json.padEnd(301)))), all],
  ],
  'two readers of a token must not see different content': [
    ['a duplicate claim', withPayload(json.replace('{', '{"sub":"1",')), all],
    [
      'a duplicate header member',
      mintToken({ header: JSON.stringify(header).replace('{', '{"alg":"none",') }),
      all,
    ],
    [
      'a payload that is not UTF-8',
      withPayload(Buffer.from(json.replace('42', '\xe9'), 'latin1')),
      ['fast-jwt', 'jsonwebtoken'],
    ],
    ['a byte order mark', withPayload(`\ufeff${json}`), ['jose']],
  ],
  'an unknown extension must not be ignored': [
    ['an extension that must be understood', withHeader({ crit: ['x'], x: 1 }), ['jsonwebtoken']],
    ['an empty list of such extensions', withHeader({ crit: [] }), ['jsonwebtoken']],
    ['b64 without crit', withHeader({ b64: false }), all],
    ['a compressed payload', withHeader({ zip: 'DEF' }), all],
    ['a URL of keys', withHeader({ jku: 'http://127.0.0.1/' }), all],
    ['an embedded key', withHeader({ jwk: { kty: 'oct', k: 'AAAA' } }), all],
  ],
  'a token must name the key that signed it, as ours do': [
    ['no key id', withHeader({ kid: undefined }), all],
    ['an unknown key id', withHeader({ kid: 'other' }), all],
  ],
  'an access token must have its type and all of its claims': [
    ['the type of any JWT', withHeader({ typ: 'JWT' }), ['jsonwebtoken']],
    ['no session', withClaims({ sid: undefined }), ['jsonwebtoken']],
    ['no expiry', withClaims({ exp: undefined }), ['jsonwebtoken']],
    ['a number as its subject', withClaims({ sub: 42 }), all],
    ['a list of audiences with a number', withClaims({ aud: [claims.aud, 1] }), ['jose', 'jsonwebtoken']],
  ],
  'times must be whole seconds in the right order': [
    ['a fraction as its expiry', withClaims({ exp: now + 0.5 }), all],
    ['an infinite expiry', withPayload(json.replace(/"exp":\d+/, '"exp":1e999')), all],
    ['an issue time in the future', withClaims({ iat: now + 60 }), all],
    ['an expiry before its issue time', withClaims({ iat: now + 4, exp: now + 3 }), all],
  ],
  'a text that we would never issue must not cost work': [
    ['5000 characters', withClaims({ more: 'x'.repeat(4000) }), all],
  ],
};

async function acceptedBy(token: string): Promise<string[]> {
  const answers = await Promise.allSettled(peers.map(async ({ verify }) => verify(token, 'HS256')));
  return peers.filter((_, index) => answers[index]?.status === 'fulfilled').map(({ name }) => name);
}

function assertRejectedByUs(token: string): void {
  assert.throws(() => ours('HS256').verify(token, now), { name: 'TokenError' });
}

describe('tokens that all libraries reject', () => {
  for (const [what, token] of rejectedByAll) {
    it(`all libraries reject a token with ${what}`, async () => {
      assertRejectedByUs(token);
      assert.deepEqual(await acceptedBy(token), []);
    });
  }
});

for (const [why, rows] of Object.entries(rejectedByUs)) {
  describe(`tokens that we reject because ${why}`, () => {
    for (const [what, token, acceptedByOthers] of rows) {
      it(`we reject a token with ${what} (accepted by ${acceptedByOthers.join(', ')})`, async () => {
        assertRejectedByUs(token);
        assert.deepEqual(await acceptedBy(token), acceptedByOthers);
      });
    }
  });
}
