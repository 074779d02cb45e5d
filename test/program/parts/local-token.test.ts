import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { jobsLink, localToken } from '../../../src/program/parts/local-token.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const settingsWith = (env: Record<string, string>) => loadSettings({ env, envFile: null }).settings;

test('a local server creates a token that only its owner can read, and its next start uses the same one', async (t) => {
  const folder = await mustMakeFolder(t);
  const settings = settingsWith({ APP_DATA_DIR: folder });
  const token = localToken(settings);
  assert.match(token ?? '', /^[\w-]{32}$/);
  assert.equal(localToken(settings), token);
  assert.equal(readFileSync(join(folder, 'management-token'), 'utf8'), `${token}\n`);
  assert.equal(statSync(join(folder, 'management-token')).mode & 0o777, 0o600);
});

test('the link to the dashboard has the local token in its fragment, and fits into 80 columns with its label', async (t) => {
  const settings = settingsWith({ APP_DATA_DIR: await mustMakeFolder(t) });
  const link = new URL(jobsLink('http://127.0.0.1:9181', settings));
  assert.deepEqual([link.pathname, link.search, link.hash], ['/jobs', '', `#token=${localToken(settings)}`]);
  assert.ok(link.href.length <= 80 - 14);
});

for (const [where, env] of [
  ['outside of local work', { APP_ENVIRONMENT: 'test' }],
  [
    'in production',
    {
      APP_ENVIRONMENT: 'production',
      SECURITY_JWT_SECRET: testSecret,
      APP_DATABASE_URL: 'postgres://a:b@db.example.org/shop',
      APP_ALLOWED_HOSTS: '["api.example.org"]',
      APP_SMTP_URL: 'smtp://mail.example.org',
      APP_MAIL_FROM: 'shop@example.org',
      APP_PUBLIC_URL: 'https://api.example.org',
    },
  ],
  ['with a configured token', { APP_MANAGEMENT_TOKEN: 'kU8s-0fW3x_vQz71bT' }],
  ['on a port that other machines reach', { APP_MANAGEMENT_HOST: '0.0.0.0' }],
  ['without a management port', { APP_MANAGEMENT_PORT: 'off' }],
] as const) {
  test(`${where} there is no local token, no file and no token in the link`, async (t) => {
    const folder = await mustMakeFolder(t);
    const settings = settingsWith({ APP_DATA_DIR: folder, ...env });
    assert.equal(localToken(settings), null);
    assert.equal(jobsLink('http://127.0.0.1:9181', settings), 'http://127.0.0.1:9181/jobs');
    assert.deepEqual(readdirSync(folder), []);
  });
}

test('a data folder that cannot be written leaves the dashboard read-only and does not stop the start', async (t) => {
  const file = join(await mustMakeFolder(t), 'file');
  writeFileSync(file, '');
  assert.equal(localToken(settingsWith({ APP_DATA_DIR: join(file, 'below') })), null);
});
