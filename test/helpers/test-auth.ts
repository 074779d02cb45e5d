import type { TestContext } from 'node:test';
import { createAuthenticator } from '../../src/auth/authenticator.ts';
import { createJwt } from '../../src/auth/jwt/jwt.ts';
import { createPasswordHasher } from '../../src/auth/password.ts';
import { createRefreshTokens, type RefreshTokens } from '../../src/auth/refresh-token.ts';
import { scopes } from '../../src/declarations.ts';
import { type Auth, type AuthOptions, createAuth } from '../../src/features/identity/auth/auth.ts';
import { createLoadSession, type LoadSession } from '../../src/features/identity/auth/load-session.ts';
import { type CapturedLog, captureLog } from './captured-log.ts';
import { testPassword } from './test-api.ts';
import { mustOpenTestDatabase } from './test-database.ts';
import { testSecret } from './test-secret.ts';

type TestDatabase = Awaited<ReturnType<typeof mustOpenTestDatabase>>;

export interface TestAuth {
  readonly auth: Auth;
  readonly loadSession: LoadSession;
  readonly refreshTokens: RefreshTokens;
  readonly database: TestDatabase;
  readonly log: CapturedLog;
  /** The clock of the sessions, in milliseconds since 1970, set by the test. */
  readonly clock: { now: number };
  /** The sessions passed to `forgetSession`. */
  readonly forgotten: string[];
  /** Inserts a user with the test password and returns its id. */
  mustAddUser(username: string): Promise<number>;
}

export const testClient = { address: '192.0.2.1', userAgent: 'test' };

export const accessTokenSeconds = 3_600;
export const idleSeconds = 14 * 86_400;
export const maxSeconds = 90 * 86_400;

/** Creates the sessions without HTTP: with their own database, a fixed clock and no limit on attempts. */
export async function mustCreateAuth(
  t: Pick<TestContext, 'after'>,
  options: Partial<AuthOptions> = {},
): Promise<TestAuth> {
  const database = await mustOpenTestDatabase(t);
  const log = captureLog();
  const clock = { now: Date.parse('2026-01-31T12:00:00Z') };
  const now = () => clock.now;
  const forgotten: string[] = [];
  const passwords = createPasswordHasher({ cost: 4 });
  const passwordHash = await passwords.hash(testPassword);
  const refreshTokens = createRefreshTokens([testSecret]);
  const jwt = createJwt({
    algorithm: 'HS256',
    secrets: [testSecret],
    issuer: 'strata',
    audience: 'strata',
    leewaySeconds: 5,
  });
  const loadSession = createLoadSession({ database, now });
  const loadApiKey = async () => undefined;
  const auth = createAuth({
    database,
    passwords,
    jwt,
    refreshTokens,
    authenticator: {
      ...createAuthenticator({ jwt, loadSession, loadApiKey, recheckMs: 0, now }),
      forgetSession: (sessionId) => forgotten.push(sessionId),
    },
    attempts: { underPermit: (_attempt, compare) => compare(), succeeded: async () => {} },
    log: log.log,
    scopes,
    realm: 'Strata',
    accessTokenSeconds,
    idleSeconds,
    maxSeconds,
    now,
    ...options,
  });
  return {
    ...{ auth, refreshTokens, database, log, clock, forgotten },
    loadSession,
    async mustAddUser(username) {
      const [user] = await database.sql<{ id: number }[]>`
        insert into users (username, email, password_hash)
        values (${username}, ${`${username}@example.org`}, ${passwordHash})
        returning id`;
      if (user === undefined) throw new Error(`${username} was not inserted.`);
      return user.id;
    },
  };
}
