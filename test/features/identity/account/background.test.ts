import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPasswordHasher } from '../../../../src/auth/password.ts';
import { createDeferred } from '../../../../src/concurrency/deferred.ts';
import { createAccount } from '../../../../src/features/identity/account/account.ts';
import { createBackground } from '../../../../src/features/identity/account/background.ts';
import { currentRequest, runInRequest } from '../../../../src/observability/request-context.ts';
import { captureLog } from '../../../helpers/captured-log.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { mustOpenTestDatabase } from '../../../helpers/test-database.ts';

describe('work in the background', () => {
  it('background work starts after the caller has continued', async () => {
    const inBackground = createBackground({ log: captureLog().log });
    const started = createDeferred<string>();
    let state = 'asked';
    assert.equal(
      inBackground(async () => started.resolve(state)),
      true,
    );
    await Promise.resolve();
    state = 'answered';
    assert.equal(await started.promise, 'answered');
  });

  it('background work has the id of its request and outlives it', async () => {
    const captured = captureLog();
    const inBackground = createBackground({ log: captured.log });
    const ended = createDeferred<boolean | undefined>();
    const work = async () => {
      captured.log.info('auth.email.verified');
      ended.resolve(currentRequest()?.signal.aborted);
    };
    runInRequest({ id: 'the-request', signal: AbortSignal.abort() }, () => inBackground(work));
    assert.equal(await ended.promise, false);
    assert.equal(captured.of('auth.email.verified')[0]?.request_id, 'the-request');
  });

  it('background work is rejected at the limit, and accepted again when some has finished', async () => {
    const inBackground = createBackground({ log: captureLog().log, capacity: 2 });
    const first = createDeferred();
    assert.deepEqual(
      [first, createDeferred(), createDeferred()].map(({ promise }) => inBackground(() => promise)),
      [true, true, false],
    );
    first.resolve();
    await eventually('there is room', () => inBackground(async () => {}));
  });

  it('failed background work is logged and frees its place', async () => {
    const captured = captureLog();
    const inBackground = createBackground({ log: captured.log, capacity: 1 });
    inBackground(() => Promise.reject(new Error('the database is gone')));
    await eventually('the failure is logged', () => captured.of('mail.failed').length === 1);
    await eventually('there is room', () => inBackground(async () => {}));
  });
});

it('registrations that wait for the database do not block reset requests', async (t) => {
  const database = await mustOpenTestDatabase(t);
  const log = captureLog().log;
  const account = createAccount({
    // Whatever makes a token hangs.
    database: { ...database, transaction: () => new Promise(() => {}) },
    passwords: createPasswordHasher({ cost: 1 }),
    attempts: { underPermit: (_attempt, compare) => compare(), succeeded: async () => {} },
    auth: {
      endUserSessions: async () => () => {},
      renewSession: () => Promise.reject(new Error('No test here changes a password.')),
      requireAuthority: async () => {},
    },
    apiKeys: { revokeAll: async () => () => {} },
    mail: { enabled: true, post() {}, async stop() {} },
    log,
    ...{ service: 'Strata', publicUrl: '', prefix: '/api/v1' },
  });
  for (let id = 1; id <= 150; id += 1) {
    account.sendVerification({ id, username: 'ada', email: 'ada@example.org' });
  }
  await account.requestReset({ email: 'ada@example.org', address: '192.0.2.1' });
});
