import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../../src/errors.ts';
import { maskUrl, redacted } from '../../../src/observability/log/mask-forms.ts';
import {
  isSecretName,
  maskEmail,
  maskEmails,
  redact,
  redactQuery,
} from '../../../src/observability/log/redact.ts';
import { cpuMsOf } from '../../helpers/cpu-time.ts';

describe('isSecretName', () => {
  const secret = [
    'password',
    'Password',
    'PASSWORD',
    'new_password',
    'user-password',
    'passwd',
    'pwd',
    'user_pwd',
    'pass',
    'password[]',
    'user[password]',
    'password ',
    ' pass word',
    'passphrase',
    'secret',
    'client_secret',
    'token',
    'access_token',
    'refreshToken',
    'X-Auth-Token',
    'api_key',
    'apiKey',
    'X-API-Key',
    'private_key',
    'access_key',
    'authorization',
    'Proxy-Authorization',
    'cookie',
    'Set-Cookie',
    'credential',
    'credentials',
    'otp',
    'pin',
    'signature',
    'sig',
    'jwt',
    'session',
    'session_id',
    'sessionId',
  ];
  for (const name of secret) it(`is ${name}`, () => assert.equal(isSecretName(name), true));

  const plain = [
    '',
    'name',
    'username',
    'email',
    'passenger',
    'bypass',
    'status_code',
    'encode',
    'tokens_used',
    'pinned',
    'keyboard',
    'key',
    'secretary',
    'author',
    'session_count',
  ];
  for (const name of plain)
    it(`${name || '(nothing)'} is no secret name`, () => assert.equal(isSecretName(name), false));

  it('a secret name is recognised after any number of other names', () => {
    for (let index = 0; index < 5000; index += 1) assert.equal(isSecretName(`field${index}`), false);
    assert.equal(isSecretName('some_new_password'), true);
  });
});

describe('redact', () => {
  it('secrets are masked at any depth, also in arrays and errors', () => {
    const error = new Error('broken', { cause: { token: 'abc' } });
    const fields = {
      user: { name: 'Ada', password: 'abc', keys: [{ api_key: 'abc', id: 1 }] },
      error,
      cookie: ['abc'],
    };
    const text = JSON.stringify(redact(fields));
    assert.ok(!text.includes('abc'));
    assert.ok(text.includes('"name":"Ada"') && text.includes('"id":1'));
  });

  it('a secret of any type is masked, and null and undefined are kept', () => {
    assert.deepEqual(redact({ password: 7, token: { a: 1 }, pin: '', secret: null, otp: undefined }), {
      password: redacted,
      token: redacted,
      pin: redacted,
      secret: null,
      otp: undefined,
    });
  });

  it('other values are copied unchanged, and the object of the caller is not modified', () => {
    const given = { a: [1, 'b', null], at: new Date(0), nested: { token: 'abc' } };
    assert.deepEqual(redact({ ...given, nested: {} }), { ...given, nested: {} });
    redact(given);
    assert.equal(given.nested.token, 'abc');
  });

  it('only errors that show a fault have a stack, because the first stack delays all requests', () => {
    const ofSystem = Object.assign(new Error('connect ECONNREFUSED'), { errno: -111, code: 'ECONNREFUSED' });
    const ofStatement = Object.assign(new Error('no space'), { severity: 'ERROR', code: '53100' });
    const expected = new AppError('database_impaired', 'Try again later.', { cause: ofStatement });
    const stackOf = (error: Error) => Reflect.get(Object(redact({ error }).error), 'stack');
    const causeOf = (error: Error) => Reflect.get(Object(redact({ error }).error), 'cause');
    for (const error of [ofSystem, expected]) assert.equal(stackOf(error), undefined, error.message);
    assert.deepEqual(causeOf(expected), {
      type: 'Error',
      message: 'no space',
      stack: undefined,
      code: '53100',
    });
    for (const error of [new Error('bug'), ofStatement, new AppError('internal', 'Bug.')]) {
      assert.match(String(stackOf(error)), /redact\.test\.ts/, error.message);
    }
  });

  it('values deeper than eight levels are omitted', () => {
    const deep = Array.from({ length: 50 }).reduce<unknown>((inner) => ({ inner }), 'core');
    assert.match(JSON.stringify(redact({ deep })), /"\[too deep\]"/);
  });

  it('a value with a secret name is never shown, at any depth', () => {
    const name = fc.constantFrom('password', 'accessToken', 'X-Api-Key', 'a', 'b');
    const tree = fc.letrec<{ node: unknown; fields: Record<string, unknown> }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 6 },
        fc.constant('harmless'),
        fc.array(tie('node'), { maxLength: 3 }),
        tie('fields'),
      ),
      fields: fc.dictionary(name, tie('node'), { maxKeys: 4 }),
    }));
    const plant = (value: unknown, secret: boolean): unknown => {
      if (Array.isArray(value)) return value.map((each) => plant(each, secret));
      if (typeof value !== 'object' || value === null) return secret ? 'hunter2' : value;
      return Object.fromEntries(
        Object.entries(value).map(([key, each]) => [key, plant(each, secret || !/^[ab]$/.test(key))]),
      );
    };
    fc.assert(
      fc.property(tree.fields, (fields) => {
        const planted = plant(fields, false);
        assert.ok(typeof planted === 'object' && planted !== null);
        assert.ok(!JSON.stringify(redact({ ...planted })).includes('hunter2'));
      }),
    );
  });
});

describe('maskEmail', () => {
  const table: [email: string, masked: string][] = [
    ['ada@example.org', 'a***@example.org'],
    ['a@example.org', 'a***@example.org'],
    ['"a@b"@example.org', '"***@example.org'],
    ['@example.org', redacted],
    ['nobody', redacted],
    ['', redacted],
  ];
  for (const [email, masked] of table)
    it(`"${email}" is shown as ${masked}`, () => assert.equal(maskEmail(email), masked));

  it('an e-mail address is masked in fields named email', () => {
    assert.deepEqual(redact({ email: 'ada@example.org', user: { email: 'ada@example.org' } }), {
      email: 'a***@example.org',
      user: { email: 'a***@example.org' },
    });
  });
});

describe('maskEmails', () => {
  const table: [text: string, masked: string][] = [
    ['ada@example.org', 'a***@example.org'],
    ['ada@example.org,grace@example.org', 'a***@example.org,g***@example.org'],
    ['/users/ada.lovelace@example.org/notes', '/users/a***@example.org/notes'],
    ['email=ada%40example.org&page=1', 'email=a***%40example.org&page=1'],
    ['email=ada%2540example.org', 'email=a***%2540example.org'],
    ['email=%61da%40%65xample.org', 'email=%***%40%65xample.org'],
    ['%22ada%20lovelace%22%40example.org', '%***%40example.org'],
    ['"ada lovelace"@example.org', '"***@example.org'],
    ['jürgen@example.org', 'j***@example.org'],
    ['ada@münchen.example', 'a***@münchen.example'],
    ['ada@例え.example', 'a***@例え.example'],
    ['ada@[192.0.2.1]', 'a***@[192.0.2.1]'],
    ['a***@example.org', 'a***@example.org'],
    ['"***@example.org', '"***@example.org'],
    ['/@ada/notes', '/@ada/notes'],
    ['at 40 % @ noon', 'at 40 % @ noon'],
    ['', ''],
  ];
  for (const [text, masked] of table)
    it(`${text || '(nothing)'} is shown as ${masked || '(nothing)'}`, () =>
      assert.equal(maskEmails(text), masked));

  for (const piece of ['a', 'a@', '@', '%40', '%25', '"@a', '40']) {
    it(`masking half a megabyte of "${piece}" takes less than a second`, () => {
      assert.ok(cpuMsOf(() => maskEmails(`${piece.repeat(500_000 / piece.length)}@`)) < 1000);
    });
  }
});

describe('maskUrl', () => {
  const table: [text: string, masked: string][] = [
    ['postgres://app:hunter2@db:5432/x', 'postgres://app:***REDACTED***@db:5432/x'],
    ['REDIS://:hunter2@cache', 'REDIS://:***REDACTED***@cache'],
    ['http://a:b:c@d', 'http://a:***REDACTED***@d'],
    [
      'to https://u:p@a/ and https://u:p@b/',
      'to https://u:***REDACTED***@a/ and https://u:***REDACTED***@b/',
    ],
    ['postgres://app@db/x', 'postgres://app@db/x'],
    ['https://example.org:8443/a@b', 'https://example.org:8443/a@b'],
    ['12:30 ada@example.org', '12:30 ada@example.org'],
  ];
  for (const [text, masked] of table)
    it(`${text} is shown as ${masked}`, () => assert.equal(maskUrl(text), masked));

  for (const piece of ['a', 'a:', '://', 'a://b:', '@', 'a.b+c-']) {
    it(`masking half a megabyte of "${piece}" takes less than a second`, () => {
      assert.ok(cpuMsOf(() => maskUrl(piece.repeat(500_000 / piece.length))) < 1000);
    });
  }
});

describe('redactQuery', () => {
  const table: [query: string, shown: string][] = [
    ['', ''],
    ['a', 'a'],
    ['token', 'token'],
    ['limit=1&token=abc', `limit=1&token=${redacted}`],
    ['TOKEN=abc', `TOKEN=${redacted}`],
    ['token=a=b&x=1', `token=${redacted}&x=1`],
    ['%74oken=abc', `%74oken=${redacted}`],
    ['api+key=abc', `api+key=${redacted}`],
    ['%zz=abc', '%zz=abc'],
    ['code=abc&state=1', `code=${redacted}&state=1`],
  ];
  for (const [query, shown] of table)
    it(`"${query}" is shown as "${shown}"`, () => assert.equal(redactQuery(query), shown));
});
