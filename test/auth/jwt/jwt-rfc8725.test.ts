/** JSON Web Token Best Current Practices (RFC 8725), section by section: each row is a token that it warns of. */

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { createJwt } from '../../../src/auth/jwt/jwt.ts';
import { TokenError, type TokenErrorCode } from '../../../src/auth/jwt/token-error.ts';
import { findJwtSecretWeakness } from '../../../src/auth/strength/secret-strength.ts';
import {
  jwtClaims as claims,
  decodePart,
  encodePart,
  mintSecret,
  mintToken,
  jwtNow as now,
  signParts,
} from '../../helpers/minted-token.ts';

const options = {
  algorithm: 'HS256',
  secrets: [mintSecret],
  issuer: claims.iss,
  audience: claims.aud,
  leewaySeconds: 5,
} as const;
const jwt = createJwt(options);
const good = jwt.sign({ subject: '42', sessionId: claims.sid, lifetimeSeconds: 600 }, now);
const header = decodePart(good, 0);
const [, goodPayload, goodSignature = ''] = good.split('.');
const rsa = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

const withHeader = (change: object) => mintToken({ header: { ...header, ...change } });
const withClaims = (change: object) => mintToken({ header, payload: { ...claims, ...change } });

/** Creates a token whose signature has one additional byte. */
function longer(token: string): string {
  const end = token.lastIndexOf('.') + 1;
  const signature = Buffer.from(token.slice(end), 'base64url');
  return `${token.slice(0, end)}${Buffer.concat([signature, Buffer.of(0)]).toString('base64url')}`;
}

/** Creates a token signed with RSA, as from another service. */
function rsaToken(): string {
  const input = `${encodePart({ ...header, alg: 'RS256' })}.${encodePart(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), rsa.privateKey).toString('base64url')}`;
}

const latin1 = (text: string) => Buffer.from(text, 'latin1');

const table: [section: string, what: string, token: string, code: TokenErrorCode][] = [
  [
    '2.1',
    'the algorithm none without a signature',
    `${encodePart({ ...header, alg: 'none' })}.${goodPayload}.`,
    'unsupported',
  ],
  ['2.1', 'the algorithm None with a signature', withHeader({ alg: 'None' }), 'unsupported'],
  [
    '2.1',
    'an RSA public key used as the secret of an HMAC',
    mintToken({ header, secret: rsa.publicKey }),
    'bad_signature',
  ],
  [
    '2.6',
    'a payload in UTF-16',
    mintToken({ header, payload: Buffer.from(JSON.stringify(claims), 'utf16le') }),
    'malformed',
  ],
  [
    '2.7',
    'the signature of another token',
    `${good.slice(0, good.lastIndexOf('.'))}.${mintToken({ header }).split('.')[2]}`,
    'bad_signature',
  ],
  ['2.8', 'a token of another kind from the same issuer', withHeader({ typ: 'id+jwt' }), 'wrong_type'],
  [
    '3.1',
    'an algorithm of the same family that is not the one in use',
    mintToken({ header: { ...header, alg: 'HS512' }, hash: 'sha512' }),
    'unsupported',
  ],
  ['3.1', 'the right algorithm in another case', withHeader({ alg: 'hs256' }), 'unsupported'],
  ['3.1', 'no algorithm', withHeader({ alg: undefined }), 'unsupported'],
  ['3.1', 'a list of algorithms', withHeader({ alg: ['HS256'] }), 'unsupported'],
  [
    '3.1',
    'the right name over the MAC of another algorithm',
    mintToken({ header, hash: 'sha512' }),
    'bad_signature',
  ],
  ['3.2', 'an algorithm with a public key', rsaToken(), 'unsupported'],
  ['3.3', 'no signature', good.slice(0, good.lastIndexOf('.') + 1), 'bad_signature'],
  ['3.3', 'half of the signature', good.slice(0, -22), 'bad_signature'],
  ['3.3', 'a byte after the signature', longer(good), 'bad_signature'],
  ['3.3', 'a signature made with an empty secret', mintToken({ header, secret: '' }), 'bad_signature'],
  [
    '3.3',
    'a nested token whose inner one is good',
    mintToken({ header: { ...header, cty: 'JWT' }, payload: good }),
    'malformed',
  ],
  ['3.3', 'five parts, as of an encrypted token', `${good}.${goodPayload}.${goodSignature}`, 'malformed'],
  [
    '3.6',
    'a compressed payload',
    mintToken({ header: { ...header, zip: 'DEF' }, payload: deflateRawSync(JSON.stringify(claims)) }),
    'unsupported',
  ],
  [
    '3.7',
    'a header that is not UTF-8',
    mintToken({ header: latin1('{"alg":"HS256","typ":"at+jwt","kid":"\xe9"}') }),
    'malformed',
  ],
  [
    '3.7',
    'a payload that is not UTF-8',
    mintToken({ header, payload: latin1(JSON.stringify({ ...claims, sub: '\xe9' })) }),
    'malformed',
  ],
  ['3.8', 'another issuer', withClaims({ iss: 'https://evil.example' }), 'wrong_issuer'],
  ['3.8', 'no subject', withClaims({ sub: undefined }), 'bad_claims'],
  ['3.9', 'another audience', withClaims({ aud: 'other-api' }), 'wrong_audience'],
  ['3.9', 'no audience', withClaims({ aud: undefined }), 'wrong_audience'],
  ['3.10', 'a key id that is a path', withHeader({ kid: '../../../dev/null' }), 'unknown_key'],
  ['3.10', 'a key id that is SQL', withHeader({ kid: "' UNION SELECT 'secret" }), 'unknown_key'],
  ['3.10', 'a key id that every object has', withHeader({ kid: '__proto__' }), 'unknown_key'],
  ['3.10', 'a key id that is an object', withHeader({ kid: { toString: 'x' } }), 'unknown_key'],
  ['3.10', 'a URL of keys', withHeader({ jku: 'http://169.254.169.254/jwks.json' }), 'unsupported'],
  ['3.10', 'a URL of a certificate', withHeader({ x5u: 'http://169.254.169.254/' }), 'unsupported'],
  [
    '3.10',
    'a key that comes along',
    mintToken({ header: { ...header, jwk: { kty: 'oct', k: 'AAAA' } }, secret: Buffer.alloc(3) }),
    'unsupported',
  ],
  ['3.10', 'certificates that come along', withHeader({ x5c: ['MIIB'] }), 'unsupported'],
  ['3.10', 'a thumbprint of a certificate', withHeader({ x5t: 'AAAA' }), 'unsupported'],
  ['3.10', 'a longer thumbprint of a certificate', withHeader({ 'x5t#S256': 'AAAA' }), 'unsupported'],
  ['3.11', 'the type of any JWT', withHeader({ typ: 'JWT' }), 'wrong_type'],
  ['3.11', 'no type', withHeader({ typ: undefined }), 'wrong_type'],
  ['3.11', 'a type that is a list', withHeader({ typ: ['at+jwt'] }), 'wrong_type'],
  ['3.11', 'application/ in the middle', withHeader({ typ: 'at+application/jwt' }), 'wrong_type'],
  ['3.11', 'the type with a space', withHeader({ typ: 'at+jwt ' }), 'wrong_type'],
  [
    '3.12',
    'a token without a session, such as one for a mail link',
    withClaims({ sid: undefined }),
    'bad_claims',
  ],
];

/** The rules of RFC 7515 for the text of a token and its extensions. */
const serialisation: [section: string, what: string, token: string, code: TokenErrorCode][] = [
  ['2', 'a header with padding', signParts(`${encodePart(header)}=`, goodPayload ?? ''), 'malformed'],
  ['2', 'a payload with padding', signParts(encodePart(header), `${goodPayload}=`), 'malformed'],
  ['2', 'a payload with a line feed', signParts(encodePart(header), `${goodPayload}\n`), 'malformed'],
  ['2', 'a signature with padding', `${good}=`, 'bad_signature'],
  [
    '2',
    'a signature with a bit that is left over',
    `${good.slice(0, -1)}${nextLetter(good)}`,
    'bad_signature',
  ],
  ['2', 'a space before the token', ` ${good}`, 'malformed'],
  ['2', 'a line feed after the token', `${good}\n`, 'bad_signature'],
  [
    '4',
    'a header member twice',
    mintToken({ header: JSON.stringify(header).replace('{', '{"alg":"none",') }),
    'malformed',
  ],
  ['4', 'a header that is a list', mintToken({ header: [header] }), 'malformed'],
  [
    '4.1.11',
    'an extension that must be understood',
    withHeader({ crit: ['exp'], exp: now + 60 }),
    'unsupported',
  ],
  ['4.1.11', 'an empty list of such extensions', withHeader({ crit: [] }), 'unsupported'],
  [
    '4.1.11',
    'a payload that is not encoded (RFC 7797)',
    withHeader({ crit: ['b64'], b64: false }),
    'unsupported',
  ],
  ['4.1.11', 'b64 even if it says the usual', withHeader({ b64: true }), 'unsupported'],
  ['7.1', 'two parts', good.slice(0, good.lastIndexOf('.')), 'malformed'],
  ['7.1', 'four parts', `${good}.`, 'malformed'],
  ['7.1', 'nothing', '', 'malformed'],
  [
    '7.2',
    'the JSON serialisation',
    JSON.stringify({ protected: encodePart(header), payload: goodPayload, signature: goodSignature }),
    'malformed',
  ],
];

/** Replaces the last letter of a token by the next one: it decodes to the same bytes, because 32 bytes leave unused bits. */
function nextLetter(token: string): string {
  return String.fromCharCode(token.charCodeAt(token.length - 1) + 1);
}

for (const [rfc, rows] of [
  ['RFC 8725', table],
  ['RFC 7515', serialisation],
] as const) {
  describe(`${rfc}: rejected tokens`, () => {
    for (const [section, what, token, code] of rows) {
      it(`${rfc}, section ${section}: a token with ${what} is rejected (${code})`, () => {
        assert.throws(
          () => jwt.verify(token, now),
          (error) => error instanceof TokenError && error.code === code,
        );
      });
    }
  });
}

describe('RFC 8725', () => {
  it('section 2.2: a memorable secret is rejected by the settings', () => {
    assert.match(findJwtSecretWeakness('my-super-secret-key-for-production', 'HS256') ?? '', /guessed first/);
  });

  it('section 3.5: a secret with fewer bytes than the hash is rejected', () => {
    assert.throws(() => createJwt({ ...options, secrets: [randomBytes(15).toString('hex')] }), RangeError);
  });

  it('section 3.11: the type may be a full media type, in any case', () => {
    for (const typ of ['at+jwt', 'AT+JWT', 'application/at+jwt', 'Application/At+Jwt']) {
      assert.equal(jwt.verify(withHeader({ typ }), now).sub, claims.sub);
    }
  });

  it('section 3.12: with one secret for two services, each rejects the tokens of the other', () => {
    const other = createJwt({ ...options, audience: 'other-api' });
    const token = other.sign({ subject: '42', sessionId: claims.sid, lifetimeSeconds: 60 }, now);
    assert.throws(() => jwt.verify(token, now), { code: 'wrong_audience' });
  });

  it('section 3.3: the payload is not read before the signature is verified', () => {
    const payload = encodePart('not JSON');
    const wrong = createHmac('sha256', 'wrong').update('x').digest('base64url');
    assert.throws(() => jwt.verify(`${encodePart(header)}.${payload}.${wrong}`, now), {
      code: 'bad_signature',
    });
  });
});
