import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createJwt, type JwtOptions } from '../../../src/auth/jwt/jwt.ts';
import { TokenError, type TokenErrorCode, tokenErrorCodes } from '../../../src/auth/jwt/token-error.ts';
import {
  jwtClaims as claims,
  decodePart,
  mintSecret,
  mintToken,
  jwtNow as now,
} from '../../helpers/minted-token.ts';

const options: JwtOptions = {
  algorithm: 'HS256',
  secrets: [mintSecret],
  issuer: claims.iss,
  audience: claims.aud,
  leewaySeconds: 5,
};
const jwt = createJwt(options);
const request = { subject: '42', sessionId: claims.sid, lifetimeSeconds: 600 };
const header = decodePart(jwt.sign(request, now), 0);

function rejection(token: string, verifier = jwt, at = now): string {
  try {
    verifier.verify(token, at);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    assert.match(error.message, /^[A-Z][\x20-\x21\x23-\x5b\x5d-\x7e]+\.$/);
    return error.code;
  }
}

describe('an access token', () => {
  it('an access token contains its user, its session, its times and its own id', () => {
    const token = jwt.sign(request, now);
    const { jti, ...rest } = decodePart(token, 1);
    const { jti: _, ...expected } = claims;
    assert.deepEqual(rest, { ...expected, iat: now, nbf: now, exp: now + 600 });
    assert.match(String(jti), /^[0-9a-f-]{36}$/);
    assert.notEqual(decodePart(jwt.sign(request, now), 1).jti, jti);
  });

  it('the header of an access token contains only type, algorithm and key id', () => {
    assert.deepEqual(Object.keys(header), ['alg', 'typ', 'kid']);
    assert.deepEqual([header.alg, header.typ], ['HS256', 'at+jwt']);
    assert.match(String(header.kid), /^[\w-]{11}$/);
  });

  for (const algorithm of ['HS256', 'HS384', 'HS512'] as const) {
    it(`an access token signed with ${algorithm} is valid with that algorithm only`, () => {
      const token = createJwt({ ...options, algorithm }).sign(request, now);
      for (const other of ['HS256', 'HS384', 'HS512'] as const) {
        const code = rejection(token, createJwt({ ...options, algorithm: other }));
        assert.equal(code, other === algorithm ? 'accepted' : 'unsupported');
      }
    });
  }

  it('any claims that are signed are returned by verification', () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 80 });
    const seconds = fc.integer({ min: 0, max: 4_000_000_000 });
    fc.assert(
      fc.property(
        text,
        text,
        seconds,
        fc.integer({ min: 1, max: 86_400 }),
        (subject, sessionId, at, life) => {
          const verified = jwt.verify(jwt.sign({ subject, sessionId, lifetimeSeconds: life }, at), at);
          assert.deepEqual(
            [verified.sub, verified.sid, verified.iat, verified.exp],
            [subject, sessionId, at, at + life],
          );
        },
      ),
    );
  });

  it('an access token is valid from its first to its last second, with the leeway at both ends', () => {
    const token = jwt.sign(request, now);
    const strict = createJwt({ ...options, leewaySeconds: 0 });
    assert.equal(rejection(token, strict, now - 1), 'not_yet_valid');
    assert.equal(rejection(token, strict, now), 'accepted');
    assert.equal(rejection(token, strict, now + 599), 'accepted');
    assert.equal(rejection(token, strict, now + 600), 'expired');
    assert.equal(rejection(token, jwt, now - 6), 'not_yet_valid');
    assert.equal(rejection(token, jwt, now - 5), 'accepted');
    assert.equal(rejection(token, jwt, now + 604), 'accepted');
    assert.equal(rejection(token, jwt, now + 605), 'expired');
  });

  it('an access token that could not be verified is not signed', () => {
    const requests = [
      { ...request, subject: '' },
      { ...request, sessionId: 'x'.repeat(256) },
      { ...request, lifetimeSeconds: 0 },
      { ...request, lifetimeSeconds: 0.5 },
      { ...request, lifetimeSeconds: Number.NaN },
      { ...request, subject: '\0'.repeat(255), sessionId: '\0'.repeat(255) },
    ];
    for (const each of requests) assert.throws(() => jwt.sign(each, now), RangeError);
    assert.throws(() => jwt.sign(request, now + 0.5), RangeError);
    assert.throws(() => jwt.sign(request, -1), RangeError);
  });
});

describe('a token with a valid signature', () => {
  const table: [what: string, payload: object | string, code: TokenErrorCode | 'accepted'][] = [
    ['valid claims', claims, 'accepted'],
    ['unknown claims', { ...claims, scope: 'all' }, 'accepted'],
    ['our audience among others', { ...claims, aud: ['other', 'strata-api'] }, 'accepted'],
    ['another issuer', { ...claims, iss: 'evil' }, 'wrong_issuer'],
    ['another case of the issuer', { ...claims, iss: 'Strata' }, 'wrong_issuer'],
    ['a list of issuers', { ...claims, iss: ['strata'] }, 'wrong_issuer'],
    ['no issuer', { ...claims, iss: undefined }, 'wrong_issuer'],
    ['another audience', { ...claims, aud: 'other' }, 'wrong_audience'],
    ['an audience that contains ours', { ...claims, aud: 'not-strata-api' }, 'wrong_audience'],
    ['no audience', { ...claims, aud: undefined }, 'wrong_audience'],
    ['an empty list of audiences', { ...claims, aud: [] }, 'wrong_audience'],
    ['an audience that is not a text', { ...claims, aud: ['strata-api', 1] }, 'wrong_audience'],
    ['audiences in a nested list', { ...claims, aud: [['strata-api']] }, 'wrong_audience'],
    ['an object as audience', { ...claims, aud: { 0: 'strata-api' } }, 'wrong_audience'],
    ...(['sub', 'sid', 'jti'] as const).flatMap((name): [string, object, TokenErrorCode][] => [
      [`no ${name}`, { ...claims, [name]: undefined }, 'bad_claims'],
      [`an empty ${name}`, { ...claims, [name]: '' }, 'bad_claims'],
      [`a number as ${name}`, { ...claims, [name]: 42 }, 'bad_claims'],
      [`a ${name} of 256 characters`, { ...claims, [name]: 'x'.repeat(256) }, 'bad_claims'],
    ]),
    ...(['iat', 'nbf', 'exp'] as const).flatMap((name): [string, object | string, TokenErrorCode][] => [
      [`no ${name}`, { ...claims, [name]: undefined }, 'bad_claims'],
      [`null as ${name}`, { ...claims, [name]: null }, 'bad_claims'],
      [`a text as ${name}`, { ...claims, [name]: String(now) }, 'bad_claims'],
      [`a fraction as ${name}`, { ...claims, [name]: now + 0.5 }, 'bad_claims'],
      [`a negative ${name}`, { ...claims, [name]: -1 }, 'bad_claims'],
      [`an ${name} past all safe integers`, { ...claims, [name]: 2 ** 53 }, 'bad_claims'],
      [
        `an infinite ${name}`,
        JSON.stringify({ ...claims, [name]: 0 }).replace(`"${name}":0`, `"${name}":1e999`),
        'bad_claims',
      ],
    ]),
    ['an expiry before the issue time', { ...claims, iat: now, exp: now - 1 }, 'bad_claims'],
    ['an expiry at the issue time', { ...claims, iat: now, exp: now }, 'bad_claims'],
    ['an expiry in the past', { ...claims, exp: now - 5 }, 'expired'],
    ['a start in the future', { ...claims, nbf: now + 6 }, 'not_yet_valid'],
    ['an issue time in the future', { ...claims, iat: now + 6 }, 'not_yet_valid'],
    ['claims in a prototype only', '{"__proto__":{"iss":"strata"}}', 'wrong_issuer'],
    ['a duplicate claim', JSON.stringify(claims).replace('{', '{"sub":"1",'), 'malformed'],
    ['a list as payload', [claims], 'malformed'],
    ['a text as payload', '"strata"', 'malformed'],
    ['no payload', '', 'malformed'],
  ];
  for (const [what, payload, code] of table) {
    it(`a token with ${what} is ${code}`, () => {
      assert.equal(rejection(mintToken({ header, payload })), code);
    });
  }

  it('verification returns the known claims only', () => {
    const verified = jwt.verify(mintToken({ header, payload: { ...claims, role: 'admin' } }), now);
    assert.deepEqual(verified, claims);
  });
});

describe('rotation', () => {
  const [older, newer] = [mintSecret, `${mintSecret}!`];
  const before = createJwt({ ...options, secrets: [older] });
  const during = createJwt({ ...options, secrets: [newer, older] });
  const after = createJwt({ ...options, secrets: [newer] });

  it('the first secret signs, and all secrets verify', () => {
    assert.equal(rejection(before.sign(request, now), during), 'accepted');
    assert.equal(rejection(during.sign(request, now), during), 'accepted');
    assert.equal(rejection(during.sign(request, now), after), 'accepted');
    assert.equal(rejection(during.sign(request, now), before), 'unknown_key');
  });

  it('removing a secret invalidates its tokens', () => {
    assert.equal(rejection(before.sign(request, now), after), 'unknown_key');
  });

  it('a token is verified only with the secret of its key id', () => {
    const [, payload, signature] = before.sign(request, now).split('.');
    const [newHeader] = during.sign(request, now).split('.');
    assert.equal(rejection(`${newHeader}.${payload}.${signature}`, during), 'bad_signature');
    assert.equal(rejection(mintToken({ header: { ...header, kid: undefined } }), during), 'unknown_key');
  });

  it('a key id is the same in every process and different for each secret', () => {
    const kidOf = (jwt: typeof before) => decodePart(jwt.sign(request, now), 0).kid;
    assert.equal(kidOf(before), kidOf(createJwt(options)));
    assert.notEqual(kidOf(before), kidOf(after));
  });
});

describe('invalid options of a JWT', () => {
  const table: [what: string, change: Partial<JwtOptions>, message: RegExp][] = [
    ['without a secret', { secrets: [] }, /at least one secret/],
    [
      'with a secret of 31 bytes for HS256',
      { secrets: ['x'.repeat(31)] },
      /HS256 must have at least 32 bytes/,
    ],
    [
      'with a secret of 47 bytes for HS384',
      { algorithm: 'HS384', secrets: ['x'.repeat(47)] },
      /HS384 .* 48 bytes/,
    ],
    [
      'with a secret of 63 bytes for HS512',
      { algorithm: 'HS512', secrets: ['x'.repeat(63)] },
      /HS512 .* 64 bytes/,
    ],
    ['with a second secret that is short', { secrets: [mintSecret, 'short'] }, /at least 32 bytes/],
    ['without an issuer', { issuer: '' }, /issuer/],
    ['without an audience', { audience: '' }, /audience/],
    ['with a leeway below zero', { leewaySeconds: -1 }, /leeway/],
    ['with a leeway of hours', { leewaySeconds: 3600 }, /leeway/],
  ];
  for (const [what, change, message] of table) {
    it(`a JWT ${what} cannot be created`, () =>
      assert.throws(() => createJwt({ ...options, ...change }), { name: 'RangeError', message }));
  }

  it('the error for a short secret does not contain the secret', () => {
    assert.throws(
      () => createJwt({ ...options, secrets: ['hush-hush'] }),
      (error) => error instanceof RangeError && !error.message.includes('hush'),
    );
  });
});

it('every error code is reached', () => {
  const tokens = [
    'x'.repeat(5000),
    'x',
    mintToken({ header: { ...header, alg: 'none' } }),
    mintToken({ header: { ...header, typ: 'JWT' } }),
    mintToken({ header: { ...header, kid: 'other' } }),
    mintToken({ header, secret: 'other' }),
    ...[{ sub: 1 }, { iss: 'other' }, { aud: 'other' }, { nbf: now + 60 }, { exp: now - 30 }].map((change) =>
      mintToken({ header, payload: { ...claims, ...change } }),
    ),
  ];
  assert.deepEqual(
    tokens.map((token) => rejection(token)),
    tokenErrorCodes,
  );
});
