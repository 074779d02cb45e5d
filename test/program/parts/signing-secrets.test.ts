import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { StartError } from '../../../src/errors.ts';
import { signingSecrets } from '../../../src/program/parts/signing-secrets.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { sourceArguments } from '../../helpers/source-arguments.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const secretsWith = (env: Record<string, string>) =>
  signingSecrets(loadSettings({ env, envFile: null }).settings);

describe('signingSecrets', () => {
  it('a secret in the settings is used, and no file is written', async (t) => {
    const folder = await mustMakeFolder(t);
    const secrets = secretsWith({ APP_DATA_DIR: folder, SECURITY_JWT_SECRET: testSecret });
    assert.deepEqual(secrets, [testSecret]);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('without a configured secret, the first start creates a file that only its owner can read, and the next start reuses it', async (t) => {
    const dataDir = join(await mustMakeFolder(t), 'deep', 'data');
    const [secret = ''] = secretsWith({ APP_DATA_DIR: dataDir });
    assert.match(secret, /^[0-9a-f]{64}$/);
    assert.deepEqual(secretsWith({ APP_DATA_DIR: dataDir }), [secret]);
    assert.equal(readFileSync(join(dataDir, 'jwt-secret'), 'utf8'), `${secret}\n`);
    assert.equal(statSync(join(dataDir, 'jwt-secret')).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(dataDir), ['jwt-secret']);
  });

  it('processes that start at the same time use the same secret', async (t) => {
    const folder = await mustMakeFolder(t);
    const program = `
      import { readSync } from 'node:fs';
      import { signingSecrets } from ${JSON.stringify(import.meta.resolve('../../../src/program/parts/signing-secrets.ts'))};
      import { loadSettings } from ${JSON.stringify(import.meta.resolve('../../../src/settings/load.ts'))};
      const { settings } = loadSettings({ env: { APP_DATA_DIR: ${JSON.stringify(folder)} }, envFile: null });
      process.stdout.write('ready');
      readSync(0, Buffer.alloc(1));
      process.stdout.write(signingSecrets(settings)[0]);`;
    const argv = [...sourceArguments(), '--input-type=module', '--eval', program];
    const children = [1, 2, 3, 4].map(() => spawn(process.execPath, argv));
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
    const answers = children.map(({ stdout }) => text(stdout));
    for (const { stdin } of children) stdin.end('!');
    const secrets = new Set(await Promise.all(answers));
    assert.equal(secrets.size, 1);
    assert.match([...secrets][0] ?? '', /^[0-9a-f]{64}$/);
  });

  it('a single test process gets a new secret, and writes no file', async (t) => {
    const folder = await mustMakeFolder(t);
    const env = { APP_DATA_DIR: folder, APP_ENVIRONMENT: 'test' };
    assert.notDeepEqual(secretsWith(env), secretsWith(env));
    assert.deepEqual(readdirSync(folder), []);
  });

  it('the workers of a test share one secret, since each verifies tokens of the others', async (t) => {
    const env = { APP_DATA_DIR: await mustMakeFolder(t), APP_ENVIRONMENT: 'test', APP_WORKERS: '2' };
    assert.deepEqual(secretsWith(env), secretsWith(env));
  });

  it('a file that cannot be read or written fails the start with a sentence that does not contain the secret', async (t) => {
    const folder = await mustMakeFolder(t);
    writeFileSync(join(folder, 'jwt-secret'), 'hunter2');
    const rejection = (dataDir: string) => {
      try {
        secretsWith({ APP_DATA_DIR: dataDir });
      } catch (error) {
        assert.ok(error instanceof StartError, String(error));
        return error.message;
      }
      return '';
    };
    assert.match(rejection(folder), /jwt-secret holds no valid secret\. Remove the file/);
    assert.doesNotMatch(rejection(folder), /hunter2/);
    assert.match(rejection(join(folder, 'jwt-secret')), /set SECURITY_JWT_SECRET, or APP_DATA_DIR/);
  });
});
