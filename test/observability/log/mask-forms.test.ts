import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApiKey } from '../../../src/auth/api-key.ts';
import { createOneTimeToken } from '../../../src/auth/one-time-token.ts';
import { createRefreshTokens } from '../../../src/auth/refresh-token.ts';
import { maskForms, maskUrl } from '../../../src/observability/log/mask-forms.ts';
import { showPath, showQuery } from '../../../src/observability/log/target-text.ts';
import { cpuMsOf } from '../../helpers/cpu-time.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: '42' })}.${'s1gNature-_'.repeat(4)}`;
const tokens: [what: string, token: string][] = [
  ['a one-time token', createOneTimeToken().token],
  ['a refresh token', createRefreshTokens([testSecret]).issue('0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000').text],
  ['an API key', createApiKey().text],
  ['an access token', jwt],
  ['a JWT whose header begins with a space', `IHsiYWxnIjoiSFMyNTYifQ.${part({ sub: '42' })}.abcdefghijkl`],
];

describe('a credential', () => {
  const places: [where: string, text: (token: string) => string][] = [
    ['alone', (token) => token],
    ['a path', (token) => `/reset/${token}/confirm`],
    ['a parameter of any name', (token) => `page=1&t=${token}&x=1`],
    ['a sentence', (token) => `The token "${token}", which was given, is not valid.`],
    ['JSON text', (token) => JSON.stringify({ t: token })],
    ['SQL', (token) => `select * from tokens where token = '${token}'`],
    ['a header field', (token) => `X-Something: ${token}; path=/`],
    ['a word with an underscore', (token) => `reset_${token}`],
    ['a word in front of it', (token) => `abc${token}`],
    ['a text that was cut', (token) => `t=${token.slice(0, -12)}`],
    ['an Authorization value', (token) => `authorization: Bearer ${token}`],
  ];
  for (const [what, token] of tokens) {
    for (const [where, textOf] of places) {
      it(`${what} is masked in ${where}, and masking again changes nothing`, () => {
        const masked = maskForms(textOf(token));
        // The first characters name the kind of token, and reveal nothing of its secret.
        assert.ok(!masked.includes(token.slice(-30, -20)) && masked.includes('***REDACTED***'), masked);
        assert.equal(maskForms(masked), masked);
      });
    }
  }

  const encoded = (token: string) =>
    token.replaceAll('_', '%5F').replace(/^./, (first) => `%${first.charCodeAt(0).toString(16)}`);
  for (const [what, token] of tokens) {
    it(`${what} is masked in the query and path of a request, also percent-encoded`, () => {
      for (const shown of [
        showQuery(`t=${token}`),
        showQuery(token),
        showQuery(`t=${encoded(token)}`),
        showPath(`/r/${token}`),
      ]) {
        assert.ok(!shown.includes(token.slice(-30, -20)), shown);
      }
    });
  }
});

describe('a text with credentials', () => {
  const table: [text: string, masked: string][] = [
    ['Bearer abcDEF123', 'Bearer ***REDACTED***'],
    ['BEARER   abcDEF123', 'BEARER   ***REDACTED***'],
    ['a=Bearer+abcDEF123&b', 'a=Bearer+***REDACTED***&b'],
    ['a=Bearer%20abcDEF123', 'a=Bearer%20***REDACTED***'],
    ['Basic YWRhOmxvdmVsYWNl', 'Basic ***REDACTED***'],
    ['sot%5Fabcdefghijkl', 'sot%5F***REDACTED***'],
    ['sot%255fabcdefghijkl', 'sot%255f***REDACTED***'],
    [
      'next=https%3A%2F%2Fu%3Ahunter2%40h%2F',
      'next=https%3A%2F%2Fu%3A***REDACTED***%40h%2F'.replace('%3A***', ':***'),
    ],
    ['postgres://app:hunter2@db/x', 'postgres://app:***REDACTED***@db/x'],
  ];
  for (const [text, masked] of table)
    it(`${text} is shown as ${masked}`, () => assert.equal(maskForms(text), masked));

  const untouched = [
    '/api/v1/auth/api-keys',
    'The scheme must be Bearer authentication.',
    'basic settings and Bearer challenge',
    'keycloak-prod.internal.example.org',
    'eyeglasses.example.com.',
    'file:///work/src/observability/logger.ts:12:3',
    'at robot_instance_count (node:internal/process/task_queues:95:5)',
    'sot_ and srt_short',
    'https://example.org:8443/a@b',
    '1.2.3-beta.4',
    '',
  ];
  for (const text of untouched)
    it(`"${text}" without a credential is unchanged`, () => assert.equal(maskForms(text), text));

  for (const piece of [
    'a',
    'sot_',
    'eyJ',
    'eyJ.',
    'a.',
    'bearer ',
    'bearer+',
    '%3A%2F%2F',
    '%3A',
    'a://b:',
    ' ',
    '%',
  ]) {
    it(`masking 128 KiB of "${piece}" takes less than half a second`, () => {
      const text = piece.repeat(131_072 / piece.length);
      assert.ok(cpuMsOf(() => maskForms(text)) < 500);
      assert.ok(cpuMsOf(() => maskUrl(text)) < 500);
    });
  }
});
