import type { Feature } from '../feature.ts';
import { createAccount } from './account/account.ts';
import { accountRoutes } from './account/routes.ts';
import { deleteOldTokens } from './account/store.ts';
import { createApiKeys } from './api-keys/api-keys.ts';
import { apiKeysRoutes } from './api-keys/routes.ts';
import { deleteEndedApiKeys } from './api-keys/store.ts';
import { createAttempts } from './attempts/attempts.ts';
import { deleteOldAttempts } from './attempts/store.ts';
import { createAuth } from './auth/auth.ts';
import { authRoutes } from './auth/routes.ts';
import { deleteEndedSessions } from './auth/store.ts';
import { usersRoutes } from './users/routes.ts';
import { createUsers } from './users/users.ts';
import { createWelcome } from './users/welcome.ts';

const scopes = [
  { name: 'users:read', description: 'Read the account of the user.' },
  { name: 'users:write', description: 'Change the account of the user; the response shows it.' },
] as const;

const events = [
  'auth.api_key.created',
  'auth.api_key.revoked',
  'auth.api_key.use_unrecorded',
  'auth.api_keys.revoked',
  'auth.email.change_refused',
  'auth.email.verification_requested',
  'auth.email.verified',
  'auth.login.failed',
  'auth.login.succeeded',
  'auth.login.throttled',
  'auth.password.change_refused',
  'auth.password.changed',
  'auth.password.rehashed',
  'auth.password.reset',
  'auth.password.reset_requested',
  'auth.refresh.failed',
  'auth.refresh.replayed',
  'auth.refresh.reused',
  'auth.session.ended',
  'auth.sessions.ended',
  'user.created',
  'user.deleted',
  'user.updated',
] as const;

declare module '../../auth/principal.ts' {
  interface ScopeRegistry extends Record<(typeof scopes)[number]['name'], true> {}
}

declare module '../../observability/events.ts' {
  interface EventRegistry extends Record<(typeof events)[number], true> {}
}

/** Accounts and how their users sign in: one family of folders, which depend on each other. */
export const identity = {
  name: 'identity',
  tags: [
    { name: 'auth', description: 'Sign in and out, sessions, passwords and API keys.' },
    { name: 'users', description: 'People who have an account.' },
  ],
  scopes,
  events,
  dailyCounts: [
    { name: 'new_users', label: 'New users', times: (sql) => sql`select created_at from users` },
    { name: 'sign_ins', label: 'Sign-ins', times: (sql) => sql`select created_at from sessions` },
  ],

  routes({ settings, log, database, cache, identity, queue, mail, passwords, scopes }) {
    const { application, security } = settings;
    const { projectName: service, apiPrefix: prefix } = application;
    const attempts = createAttempts({ database, log: log.named('auth') });
    const auth = createAuth({
      ...identity,
      database,
      passwords,
      attempts,
      scopes,
      log: log.named('auth'),
      realm: service,
      accessTokenSeconds: security.jwtExpiryMinutes * 60,
      idleSeconds: security.sessionIdleDays * 86_400,
      maxSeconds: security.sessionMaxDays * 86_400,
    });
    const apiKeys = createApiKeys({ ...identity, database, auth, log: log.named('auth') });
    const account = createAccount({
      database,
      passwords,
      attempts,
      auth,
      apiKeys,
      mail,
      log: log.named('account'),
      service,
      publicUrl: application.publicUrl,
      prefix,
    });
    const users = createUsers({
      ...identity,
      database,
      passwords,
      attempts,
      auth,
      account,
      cache,
      log: log.named('users'),
      service,
    });
    return [
      ...authRoutes({ auth, allowedOrigins: application.corsAllowOrigins }),
      ...accountRoutes({ account }),
      ...apiKeysRoutes({ apiKeys, scopes, prefix }),
      ...usersRoutes({
        users,
        welcome: createWelcome({ database, queue, mail, service }),
        registrationsPerHour: security.rateLimitRegistrationsPerHour,
        prefix,
      }),
    ];
  },

  retentionRules: ({ database: { sql } }) => [
    { name: 'sessions', deleteBatch: (limit) => deleteEndedSessions(sql, limit) },
    { name: 'one-time tokens', deleteBatch: (limit) => deleteOldTokens(sql, limit) },
    { name: 'API keys', deleteBatch: (limit) => deleteEndedApiKeys(sql, limit) },
    { name: 'attempts', deleteBatch: (limit) => deleteOldAttempts(sql, limit) },
  ],
} satisfies Feature;
