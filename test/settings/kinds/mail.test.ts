import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { loadSettings } from '../../../src/settings/load.ts';

/** Returns the value of a variable that is set to `text`, or 'rejected'. */
function read(name: string, key: 'smtpUrl' | 'mailFrom' | 'publicUrl', text: string): string {
  try {
    return loadSettings({ env: { [name]: text }, envFile: null }).settings.application[key];
  } catch (error) {
    assert.ok(error instanceof StartError, `expected a StartError, got ${error}`);
    return 'rejected';
  }
}

const tables = [
  {
    name: 'APP_SMTP_URL',
    key: 'smtpUrl',
    accepted: [
      'smtp://mail.example.com',
      'smtp://127.0.0.1:1025',
      'smtps://ada:p%40ss@mail.example.com:465',
      'SMTP://[::1]:2525/',
    ],
    rejected: [
      'mail.example.com:587',
      'https://mail.example.com',
      'smtp://',
      'smtp:mail.example.com',
      'smtp://ada:p/ss@mail.example.com',
      'smtp://mail.example.com/path',
      'smtp://mail.example.com?secure=false',
      'smtp://mail.example.com#x',
      'smtp://mail.example.com:port',
      'smtp://mail.example.com\r\nX: y',
    ],
  },
  {
    name: 'APP_MAIL_FROM',
    key: 'mailFrom',
    accepted: [
      'a@b',
      'no-reply@example.xn--p1ai',
      'a&b@example.com',
      'no-reply@example.com',
      'Strata <no-reply@example.com>',
      'Ümläut, & Co <x+y@example.com>',
    ],
    rejected: [
      'example.com',
      '@example.com',
      'a@',
      'a b@example.com',
      'Strata no-reply@example.com',
      '<a@example.com',
      'Strata <a@example.com>, <b@example.com>',
      'Strata\r\nBcc: x <a@example.com>',
      'a@example.com\r\nBcc: b@example.com',
      'a@-.',
      `${'a'.repeat(65)}@example.com`,
      `a@${'b'.repeat(64)}.com`,
      'a..b@example.com',
      '.a@example.com',
      'a@-b.com',
    ],
  },
  {
    name: 'APP_PUBLIC_URL',
    key: 'publicUrl',
    accepted: ['https://app.example.com', 'http://localhost:3000', 'https://example.com/app'],
    rejected: [
      'app.example.com',
      'ftp://app.example.com',
      'https://ada:secret@app.example.com',
      'https://app.example.com/?x=1',
      'https://app.example.com/#x',
      'https://app.example.com/?',
      'javascript:alert(1)',
    ],
  },
] as const;

for (const { name, key, accepted, rejected } of tables) {
  describe(name, () => {
    for (const text of accepted)
      test(`${name} accepts ${text}`, () => assert.equal(read(name, key, text), text));
    for (const text of rejected) {
      test(`${name} rejects ${JSON.stringify(text)}`, () => assert.equal(read(name, key, text), 'rejected'));
    }
  });
}

test('the trailing slash of APP_PUBLIC_URL is removed, because every link starts with one', () => {
  assert.equal(read('APP_PUBLIC_URL', 'publicUrl', 'https://Example.com/app/'), 'https://example.com/app');
});
