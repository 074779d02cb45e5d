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
  /** Settings beyond those of every test, by their names in the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The database to use. The default is null, which means none. */
  readonly databaseUrl?: string | null;
  /** The mailer to use instead of `mails`; null disables mail. */
  readonly mailer?: Mailer | null;
}

export interface TestApp extends RunningServer {
  /** The URL of the API, such as `http://127.0.0.1:1234/api/v1`. */
  readonly api: string;
  readonly log: CapturedLog;
  /** The mails that the application sent. */
  readonly mails: CapturedMail;
}

/**
 * Starts the whole application on port 0 as `npm start` does, except for its settings, a cheap password hash and a log in
 * memory. Stops it after the test, and fails the test if the log contains a secret of its traffic.
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
    passwords: options.passwords ?? createPasswordHasher({ cost: 4 }),
    mailer: options.mailer === undefined ? mails : options.mailer,
    ...(options.extraRoutes !== undefined && { extraRoutes: options.extraRoutes }),
    ...(options.now !== undefined && { now: options.now }),
    ...(options.queue !== undefined && { queue: options.queue }),
  });
  t.after(async () => {
    // A client of a test sends nothing more on its idle connections.
    await server.stop({ lingerMs: 0 });
    assertNoSecretIn(log.text());
  });
  return { ...server, api: `${server.url}${settings.application.apiPrefix}`, log, mails };
}
