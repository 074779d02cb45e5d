import type { TestContext } from 'node:test';
import { createPasswordHasher } from '../../src/auth/password.ts';
import type { Mailer } from '../../src/mail/mailer.ts';
import { type RunningServer, type StartOptions, startServer } from '../../src/program/start-server.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { type CapturedLog, captureLog } from './captured-log.ts';
import { type CapturedMail, captureMail } from './captured-mail.ts';
import { assertNoSecretIn } from './secret-watch.ts';
import { testSecret } from './test-secret.ts';

export interface TestAppOptions extends Pick<StartOptions, 'extraRoutes' | 'now' | 'passwords' | 'queue'> {
  /** Settings beside the test's own, by their names in the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The database to use; null for none, which is the default. */
  readonly databaseUrl?: string | null;
  /** How mail leaves, instead of to `mails`; null for not at all. */
  readonly mailer?: Mailer | null;
}

export interface TestApp extends RunningServer {
  /** The prefix of the API at the server: `http://127.0.0.1:1234/api/v1`. */
  readonly api: string;
  readonly log: CapturedLog;
  /** What the application sent by mail. */
  readonly mails: CapturedMail;
}

/**
 * Starts the whole application on port 0, as `npm start` would but for settings, a cheap password hash and a log
 * in memory. After the test it is stopped, and the test fails if a secret of its traffic stands in the log.
 */
export async function mustStartApp(
  t: Pick<TestContext, 'after'>,
  options: TestAppOptions = {},
): Promise<TestApp> {
  const { settings } = loadSettings({
    env: {
      APP_ENVIRONMENT: 'test',
      APP_PROJECT_NAME: 'Strata',
      APP_PORT: '0',
      APP_LOG_LEVEL: 'DEBUG',
      APP_DATABASE_URL: options.databaseUrl ?? 'none',
      SECURITY_RATE_LIMIT_PER_MINUTE: '100000',
      SECURITY_RATE_LIMIT_PER_HOUR: '100000',
      SECURITY_RATE_LIMIT_USER_PER_MINUTE: '100000',
      SECURITY_RATE_LIMIT_REGISTRATIONS_PER_HOUR: '100000',
      APP_SHUTDOWN_GRACE_SECONDS: '2',
      SECURITY_JWT_SECRET: testSecret,
      ...options.env,
    },
    envFile: null,
  });
  const log = captureLog('DEBUG');
  const mails = captureMail();
  const server = await startServer({
    settings,
    log: log.log,
    databaseUrl: options.databaseUrl ?? null,
    passwords: options.passwords ?? createPasswordHasher({ cost: 10 }),
    mailer: options.mailer === undefined ? mails : options.mailer,
    ...(options.extraRoutes !== undefined && { extraRoutes: options.extraRoutes }),
    ...(options.now !== undefined && { now: options.now }),
    ...(options.queue !== undefined && { queue: options.queue }),
  });
  t.after(async () => {
    await server.stop();
    assertNoSecretIn(log.text());
  });
  return { ...server, api: `${server.url}${settings.application.apiPrefix}`, log, mails };
}
