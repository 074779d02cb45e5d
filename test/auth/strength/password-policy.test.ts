import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { commonPasswords } from '../../../src/auth/strength/common-passwords.ts';
import { findPasswordError } from '../../../src/auth/strength/password-policy.ts';
import { cpuMsOf } from '../../helpers/cpu-time.ts';

const ada = { username: 'Ada_Lovelace', email: 'countess@Example.org', service: 'Strata Backend' };
const errorOf = (password: string) => findPasswordError(password, ada);

describe('a new password', () => {
  const good: [what: string, password: string][] = [
    ['a sentence', 'correct horse battery staple'],
    ['eight characters of one kind', 'kvxqzjwp'],
    ['a hundred and twenty-eight characters', 'kvxqzjwp'.repeat(16)],
    ['spaces and signs of any script', 'ключ от дома 🗝️'],
    ['eight characters of two code units each', '🗝🐎🔋📎🗝🐎🔋📌'],
    ['the name with enough additional text', 'ada_lovelace knits socks'],
    ['a common password with additional text', 'password of mine'],
  ];
  for (const [what, password] of good) {
    it(`a new password may be ${what}`, () => assert.equal(errorOf(password), undefined));
  }

  const bad: [what: string, password: string, message: RegExp][] = [
    ['seven characters', 'kvxqzjw', /at least 8/],
    ['seven characters of two code units each', '🗝🐎🔋📎🗝🐎🔋', /at least 8/],
    ['eight characters that are seven after normalisation', 'kvxqzje\u0301', /at least 8/],
    ['a hundred and twenty-nine characters', `${'kvxqzjwp'.repeat(16)}k`, /at most 128/],
    ['forty characters that are more than 128 after normalisation', '\uFDFA'.repeat(40), /at most 128/],
    ['a common password', 'iloveyou', /many people/],
    ['a common one in capitals', 'TrustNo1', /many people/],
    ['a common one in full-width letters', 'ｔｒｕｓｔｎｏ１', /many people/],
    ['the username', 'Ada_Lovelace', /without your username/],
    ['the username in another case', 'ADA_LOVELACE', /without your username/],
    ['the username with few additional characters', '!ada_lovelace2026', /without your username/],
    ['the username twice', 'ada_lovelaceada_lovelace', /without your username/],
    ['the e-mail address', 'countess@example.org', /without your username/],
    ['the name of the mailbox with few additional characters', 'countess1999', /without your username/],
    ['username and mailbox', 'countessada_lovelace', /without your username/],
    ['the username without its separator', 'adalovelace', /without your username/],
    ['the username with another separator', 'Ada.Lovelace', /without your username/],
    ['the parts of the username in another order', 'lovelace-ada', /without your username/],
    ['the username backwards', 'ecalevol_ada', /without your username/],
    ['the username in leetspeak', '4d4_l0v3l4c3', /without your username/],
    ['the username with many digits', 'ada_lovelace2026112233', /without your username/],
    ['the username with a common password', 'ada_lovelacepassword', /without your username/],
    ['the username between separators', '--ada--lovelace--', /without your username/],
    ['the domain of the e-mail address', 'Example.org1', /without your username/],
    ['the name of the service', 'Strata Backend', /without your username/],
    ['the name of the service with digits', 'stratabackend2026', /without your username/],
    ['a common one with digits behind it', 'sunshine2026', /many people/],
    ['a common one with signs around it', '**Football!!', /many people/],
    ['a common one in leetspeak', 'P@ssw0rd', /many people/],
    ['a common one with a 9 that is a number, in leetspeak', 'p0rsche9', /many people/],
    ['a common one with an 8 that is a number, in leetspeak', 'fly3rs88', /many people/],
    ['a word and a sequence', 'admin123', /tried first/],
    ['a common one and a sequence', 'password12345678', /tried first|many people/],
    ['a sequence of letters', 'abcdefghijklmnop', /tried first/],
    ['a sequence of digits', '1234567890123456', /tried first|many people/],
    ['rows of the keyboard', 'qwertyuiopasdfgh', /tried first/],
    ['one repeated character', 'aaaaaaaaaaaaaaaa', /tried first/],
    ['a year twice', '19901990', /tried first|many people/],
  ];
  for (const [what, password, message] of bad) {
    it(`a new password may not be ${what}`, () =>
      assert.match(errorOf(password) ?? 'nothing is wrong with it', message));
  }

  it('a new password may not be the username that contains the mailbox, as in the documented example', () => {
    const example = { username: 'ada_lovelace', email: 'ada@example.org' };
    assert.match(findPasswordError('ada_lovelace', example) ?? '', /without your username/);
    assert.match(findPasswordError('ada_lovelace1', example) ?? '', /without your username/);
  });

  it('a new password may contain a short name by chance', () => {
    assert.equal(findPasswordError('abacus12', { username: 'ab_', email: 'ab@example.org' }), undefined);
  });

  it('a new password gets the same result in any Unicode normal form, and never causes an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (password) => {
        for (const form of ['NFC', 'NFD']) assert.equal(errorOf(password.normalize(form)), errorOf(password));
      }),
    );
  });

  it('a long password is checked fast', () => {
    const spent = cpuMsOf(() => {
      for (let i = 0; i < 100; i += 1) errorOf('ada_lovelac'.repeat(11));
    });
    assert.ok(spent < 100, `${spent} ms`);
  });
});

describe('the list of common passwords', () => {
  it('the list of common passwords contains the most frequent passwords', () => {
    for (const password of ['password', '12345678', 'qwertyuiop', 'iloveyou', 'passw0rd', 'football']) {
      assert.ok(commonPasswords.has(password), password);
    }
  });

  it('the list of common passwords has at least 3,000 entries of at least 8 characters, in look-up form', () => {
    assert.ok(commonPasswords.size >= 3_000);
    for (const password of commonPasswords) {
      assert.ok([...password].length >= 8, password);
      assert.equal(password, password.normalize('NFKC').toLowerCase());
    }
  });
});
