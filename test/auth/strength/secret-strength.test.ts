import assert from 'node:assert/strict';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { JwtAlgorithm } from '../../../src/auth/jwt/jws.ts';
import { publishedSecrets } from '../../../src/auth/strength/published-secrets.ts';
import { findJwtSecretWeakness } from '../../../src/auth/strength/secret-strength.ts';
import { mintSecret } from '../../helpers/minted-token.ts';

const guessed = /^is a placeholder, an example, or made of words/;
const repeated = /^repeats a text that is shorter than the 32 bytes that HS256 needs$/;
const few = /^has fewer than 8 different characters$/;

/** Examples and defaults from public repositories and from lists of guessed secrets. */
const examples: readonly string[] = [
  '0123456789-0123456789-0123456789-XYZ',
  '01234567890123456789012345678901',
  '<clave_aleatoria_privada_de_al_menos_32_bytes>',
  'FAKE-ADJUST-SIGNATURE-NOT-FOR-PRODUCTION-v1',
  'SubPhim-Super-Secret-Key-For-JWT-Authentication-2024-@!#$',
  'ThisIsASecretKeyForJWTSigningMustBeLongEnough123',
  'YOUR_SUPER_SECRET_KEY_MAKE_SURE_IT_IS_LONG_ENOUGH',
  'a-long-random-secret-key-for-jwt-signing',
  'b1web-demo-secret-not-for-production-use',
  'carma-localstack-jwt-secret-not-for-production-0001',
  'change-this-in-production-min-32-characters',
  'change-this-in-production-min-32-chars',
  'change_me_super_secret_jwt_key_minimum_32_chars',
  'dev-only-password-not-for-production-use!!',
  'dev-secret-key-change-before-deploy',
  'dev-secret-key-change-in-production',
  'dev-secret-key-change-in-production-min-32-chars-required',
  'development-key-not-for-production-use',
  'e2e-secret-that-is-at-least-32-chars',
  'e2e-test-jwt-secret-key-at-least-32-chars-long',
  'easy-proxy-secret-key-for-jwt-authentication',
  'flashreview-test-secret-not-for-production-use',
  'mi_clave_secreta_super_segura_123',
  'my-super-secret-key-that-is-long-enough-for-hmac',
  'mySecretKeyForAdminDashboardServiceJwtAuthenticationToken123456789',
  'mySuperSecretJWTKeyForTabibiApp2023!@#$%^&*()',
  'password-with-at-least-32-characters',
  'redmine_env_secret_key_base_do_not_use_in_production_xyz123',
  'replace-with-a-secret-that-is-at-least-32-characters',
  'sculpt_aesthetics_nextauth_secret_key_2026_super_secure',
  'secret-key-for-jwt-token-change-in-production',
  'smoke-check-jwt-secret-at-least-32-chars',
  'smoke-test-secret-not-for-production-use-1234',
  'super_clave_secreta_financiera_2026',
  'super_secret_jwt_key_at_least_16_chars_long',
  'super_secret_jwt_key_at_least_32_characters_long!',
  'super_secret_jwt_key_change_this_123!@#$%^&*()',
  'synthetic-overview-secret-with-at-least-32-characters',
  'test-admin-token-at-least-32-characters',
  'test-jwt-secret-with-at-least-32-characters',
  'test-secret-key-for-jwt-signing-must-be-long-enough-32',
  'test-secret-key-for-jwt-tests-must-be-long-enough-1234567890',
  'test-secret-key-for-jwt-token-generation-minimum-256-bits',
  'test-secret-key-that-is-long-enough-for-hs256',
  'test-secret-not-for-production-0123456789abcdef',
  'test-secret-that-is-at-least-32-characters-long',
  'test-secret-with-at-least-32-characters',
  'test-session-secret-not-for-production-use-only-in-ci',
  'test-session-secret-with-at-least-32-characters',
  'thisisasecretkey@12345678901234567890',
  'tu_clave_secreta_super_segura_2024',
  'very-long-test-secret-at-least-32-chars-please',
  'your-secret-key-CHANGE-THIS-IN-PRODUCTION-min-32-chars',
  'your-secret-key-change-in-production',
  'your-super-secret-access-key-change-this-in-production-min-32-chars',
  'your-super-secret-jwt-key-at-least-32-characters-long',
  'your-super-secret-jwt-key-change-this-in-production',
  'your-super-secret-jwt-key-change-this-in-production-min-32-chars',
  'your-super-secret-key-change-this-in-production-min-32-characters',
  'your-super-secret-key-change-this-in-production-min-32-chars',
  'your-super-secret-key-that-is-at-least-32-characters-long!!!',
  'your-very-secret-key-change-in-production',
  'your_jwt_secret_key_change_this_in_production',
  'your_super_secret_jwt_key_change_this_in_production',
  'your_super_secret_jwt_key_here_change_in_production',
  'your_super_secret_jwt_key_here_change_this_in_production',
  'your_super_secret_jwt_key_here_make_it_very_long_and_random',
  'ziad1234aaaa&&&&&thisisasecretekeyaaa',
  'This_is_the_secret_key_that_iam_using_for_JSON_WEB_TOKEN',
  'supersecretkeyyoushouldnotcommittogithub',
  'ireallylovetoeatrotifromroopramroti',
  'TokenMegaUltraSecretoQueNadieDebeSaberNuncaJamas',
  'my-name-is-shubham-and-i-am-bad-boy',
  'qqqqwwwweeeerrrrttttyyyyuuuuiiiioooo',
  'Th1sSECr3TMu5TN0Tb3L43KEDEv3RRRRRR!!1',
  'KENDI_JWT_SECRRET_ANAHTARINI_YAZ',
  'HolaSoyUnaClaveSuperSecretaQueNadieNuncaSabraParaLosTokens!',
  'figs have wasps inside so i do not engage',
  'KbPeShVmYq3t6w9z$C&F)J@NcRfUjXn2',
  '655368566D597133743677397A244326452948404D635166546A576E5A723475',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,',
  '!QAZ@WSX#EDC$RFV%TGB^YHN&UJM*IK<',
];

describe('a weak secret', () => {
  const table: [secret: string, answer: RegExp, algorithm?: JwtAlgorithm][] = [
    ['', /^is shorter than the 32 bytes that HS256 needs$/],
    ['secret', /^is shorter than the 32 bytes/],
    [mintSecret.slice(0, 31), /^is shorter than the 32 bytes/],
    [mintSecret.slice(0, 47), /^is shorter than the 48 bytes that HS384 needs$/, 'HS384'],
    [mintSecret.slice(0, 63), /^is shorter than the 64 bytes that HS512 needs$/, 'HS512'],
    ['x'.repeat(64), few],
    ['abcabcabcabcabcabcabcabcabcabcabcabc', few],
    ['deadbeefdeadbeefdeadbeefdeadbeef', few],
    ['supersecretkeysupersecretkeysupersecretkey', repeated],
    ['keyboard cat keyboard cat keyboard cat', repeated],
    ['0123456789abcdef0123456789abcdef', repeated],
    [mintSecret.slice(0, 20).repeat(2), repeated],
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
    it(`"${secret}" is weak for ${algorithm}`, () =>
      assert.match(findJwtSecretWeakness(secret, algorithm) ?? 'strong', answer));
  }

  for (const secret of examples) {
    it(`the published example "${secret}" is weak`, () =>
      assert.notEqual(findJwtSecretWeakness(secret, 'HS256'), undefined));
    it(`an encoding of the published example "${secret}" is weak`, () => {
      for (const encoding of ['base64', 'base64url', 'hex'] as const) {
        assert.notEqual(
          findJwtSecretWeakness(Buffer.from(secret).toString(encoding), 'HS256'),
          undefined,
          encoding,
        );
      }
    });
  }

  it('a listed secret is weak, in any case and in quotation marks', () => {
    // From the list of wallarm/jwt-secrets. It looks random.
    const secret = 'gIYDuai0ZMiaNyn4C21ymubakiG9dfY2';
    for (const each of [secret, secret.toUpperCase(), `"${secret}"`, ` ${secret}\n`]) {
      assert.match(findJwtSecretWeakness(each, 'HS256') ?? 'strong', /^is published/);
    }
    assert.equal(findJwtSecretWeakness(secret.replace('gIY', 'gIZ'), 'HS256'), undefined);
  });

  for (const secret of publishedSecrets) {
    it(`the documented secret "${secret.slice(0, 8)}..." is weak, in any case and with additional text`, () => {
      for (const each of [secret, secret.toUpperCase(), secret.toLowerCase(), `${secret}-2026`]) {
        assert.match(findJwtSecretWeakness(each, 'HS256') ?? 'strong', guessed);
      }
    });
  }
});

describe('a strong secret', () => {
  it('the output of openssl rand is strong for every algorithm that accepts its length', () => {
    const random = fc.noShrink(fc.integer({ min: 0, max: 32 }).map((more) => randomBytes(32 + more)));
    fc.assert(
      fc.property(random, (bytes) => {
        for (const encoding of ['hex', 'base64', 'base64url'] as const) {
          assert.equal(findJwtSecretWeakness(bytes.toString(encoding), 'HS256'), undefined);
        }
        assert.equal(findJwtSecretWeakness(bytes.toString('hex'), 'HS512'), undefined);
      }),
      { numRuns: 2000 },
    );
  });

  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const draw = (alphabet: string, length = 32) =>
    Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
  const random: [what: string, make: () => string][] = [
    ['32 hexadecimal digits', () => randomBytes(16).toString('hex')],
    ['32 hexadecimal digits in capitals', () => randomBytes(16).toString('hex').toUpperCase()],
    ['64 hexadecimal digits', () => randomBytes(32).toString('hex')],
    ['base64 of 24 bytes', () => randomBytes(24).toString('base64')],
    ['base64 of 64 bytes', () => randomBytes(64).toString('base64')],
    ['base64url of 32 bytes', () => randomBytes(32).toString('base64url')],
    ['base64 of hexadecimal digits', () => Buffer.from(randomBytes(32).toString('hex')).toString('base64')],
    ['a UUID', randomUUID],
    ['two UUIDs', () => randomUUID() + randomUUID()],
    ['letters and digits', () => draw(`${letters}${letters.toUpperCase()}0123456789`)],
    ['small letters', () => draw(letters)],
    ['capitals and digits', () => draw(`${letters.toUpperCase()}234567`)],
    ['small letters, digits and signs', () => draw(`${letters}0123456789!@#$%^&*(-_=+)`, 50)],
    [
      'anything that can be printed',
      () => draw(Array.from({ length: 94 }, (_, nth) => String.fromCharCode(33 + nth)).join('')),
    ],
  ];
  for (const [what, make] of random) {
    it(`a random secret is strong: ${what}`, () => {
      for (let nth = 0; nth < 1000; nth += 1) {
        const secret = make();
        // Random texts contain it too, but rarely.
        if (new Set(secret).size < 8) continue;
        assert.equal(findJwtSecretWeakness(secret, 'HS256'), undefined, secret);
      }
    });
  }

  const table: [what: string, secret: string][] = [
    ['with a label before the random part', 'my-jwt-secret-9fQz7LxT2mVbR8wKc4Hd6Y'],
    [
      'in a script with several bytes per letter',
      '\u5b89\u5168\u306a\u79d8\u5bc6\u9375\u66f8\u6d77\u7a7a\u68ee\u9ce5',
    ],
    ['with punctuation', 'k#9$Lw!2@pQ^7&zX*4(mN)1_vB+5=rT{8'],
  ];
  for (const [what, secret] of table) {
    it(`a secret ${what} is strong`, () => assert.equal(findJwtSecretWeakness(secret, 'HS256'), undefined));
  }
});

it('the description of a weakness contains no part of the secret', () => {
  for (const secret of ['hunter2', 'hunter2!'.repeat(5), 'hunter-secret-secret-secret-secret-2']) {
    assert.ok(!(findJwtSecretWeakness(secret, 'HS256') ?? 'hunter').includes('hunter'));
  }
});
