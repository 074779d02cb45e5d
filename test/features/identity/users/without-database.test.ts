import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPasswordHasher } from '../../../../src/auth/password.ts';
import { createAttempts } from '../../../../src/features/identity/attempts/attempts.ts';
import { createUsers } from '../../../../src/features/identity/users/users.ts';
import { createApiClient } from '../../../helpers/api-client.ts';
import { notesRoutes } from '../../../helpers/notes.ts';
import { mustStartApp, type TestApp } from '../../../helpers/test-app.ts';

const user = { username: 'someone', email: 'someone@example.org', password: 'correct horse battery staple' };

describe('a server without a database', () => {
  it('routes that need a database are rejected with the name of the setting', async (t) => {
    const app: TestApp = await mustStartApp(t, { extraRoutes: notesRoutes(() => app.database) });
    const api = createApiClient(app.api);
    const answers = [
      await api.post('/users', user),
      await api.get('/notes/1'),
      await api.post('/auth/login', { username: user.username, password: user.password }),
    ];
    for (const { status, body } of answers) {
      assert.equal(status, 503);
      assert.equal(body.code, 'database_disabled');
      assert.match(body.detail, /APP_DATABASE_URL/);
    }
  });

  it('a registration without a database computes no password hash', async (t) => {
    const { database, log } = await mustStartApp(t);
    const hashesNothing = createPasswordHasher({ concurrency: 0, maxWaiting: 0 });
    const users = createUsers({
      database,
      passwords: hashesNothing,
      attempts: createAttempts({ database, log: log.log }),
      auth: { requireAuthority: async () => {} },
      account: { sendVerification() {}, emailChanged() {}, async endMailedTokens() {} },
      authenticator: { forgetUser() {} },
      cache: { invalidate: async () => {} },
      log: log.log,
      service: 'Strata',
    });
    await assert.rejects(users.register({ newUser: user, address: '192.0.2.1' }), {
      code: 'database_disabled',
    });
  });

  it('a server without a database is ready and reports the database as disabled', async (t) => {
    const { status, body } = await createApiClient((await mustStartApp(t)).api).get('/health/ready');
    assert.equal(status, 200);
    assert.equal(body.checks.database.status, 'disabled');
  });
});
