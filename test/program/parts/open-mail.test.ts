import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { createCircuitMetrics } from '../../../src/observability/circuit-set.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { createLifecycle } from '../../../src/program/lifecycle.ts';
import { openMail } from '../../../src/program/parts/open-mail.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { captureMail } from '../../helpers/captured-mail.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { mustStartSmtpServer } from '../../helpers/smtp-server.ts';
import { testSecret } from '../../helpers/test-secret.ts';

const mail = { to: 'ada@example.org', subject: 'Hello', text: 'Hello, Ada.' };
const deployed = {
  APP_ENVIRONMENT: 'staging',
  APP_DATABASE_URL: 'none',
  SECURITY_JWT_SECRET: testSecret,
};

async function mustOpen(t: TestContext, env: Record<string, string>) {
  const folder = await mustMakeFolder(t);
  const { settings } = loadSettings({ env: { APP_DATA_DIR: folder, ...env }, envFile: null });
  const { log } = captureLog();
  const lifecycle = createLifecycle(log);
  const parts = { settings, log, lifecycle, circuitMetrics: createCircuitMetrics(createMetrics()) };
  const { mail: queue, check } = await openMail(parts);
  return { folder, lifecycle, parts, mail: queue, check };
}

describe('openMail', () => {
  for (const environment of ['local', 'test']) {
    it(`in ${environment} without a mail server, mail is written to files in the data folder`, async (t) => {
      const { mail: queue, lifecycle, folder } = await mustOpen(t, { APP_ENVIRONMENT: environment });
      assert.deepEqual(readdirSync(folder), []);
      queue.post(mail);
      await lifecycle.closeAll();
      assert.equal(readdirSync(join(folder, 'mail')).length, 1);
    });
  }

  it('in staging and production without a mail server, mail is disabled', async (t) => {
    for (const environment of ['staging', 'production']) {
      const env = { ...deployed, APP_ENVIRONMENT: environment, APP_ALLOWED_HOSTS: 'api.example.com' };
      const { mail: queue, lifecycle, folder } = await mustOpen(t, env);
      assert.equal(queue.enabled, false);
      queue.post(mail);
      await lifecycle.closeAll();
      assert.deepEqual(readdirSync(folder), []);
    }
  });

  it('mail goes to the configured server, and queued mail is sent before the queue stops', async (t) => {
    const server = await mustStartSmtpServer(t);
    const env = { ...deployed, APP_SMTP_URL: `smtp://127.0.0.1:${server.port}` };
    const { mail: queue, lifecycle } = await mustOpen(t, env);
    assert.equal(queue.enabled, true);
    queue.post(mail);
    await lifecycle.closeAll();
    assert.equal(server.received.length, 1);
  });

  it('a given mailer replaces the configured one, and null disables mail', async (t) => {
    const { parts, lifecycle } = await mustOpen(t, {});
    const mails = captureMail();
    const { mail: queue } = await openMail({ ...parts, mailer: mails });
    queue.post(mail);
    assert.deepEqual(await mails.mustReceive(mail.to), mail);
    assert.equal((await openMail({ ...parts, mailer: null })).mail.enabled, false);
    await lifecycle.closeAll();
  });
});
