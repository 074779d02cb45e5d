import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createPasswordHasher } from '../../../../src/auth/password.ts';
import type { Role, SessionPrincipal } from '../../../../src/auth/principal.ts';
import { createDeferred } from '../../../../src/concurrency/deferred.ts';
import { createUsers } from '../../../../src/features/identity/users/users.ts';
import { captureLog } from '../../../helpers/captured-log.ts';
import { mustCreateAuth } from '../../../helpers/test-auth.ts';
import { mustOpenSession } from '../../../helpers/test-credentials.ts';

/** A caller who was admitted with a role, and what may have happened since. */
async function mustAdmit(t: TestContext, role: Role) {
  const fixture = await mustCreateAuth(t, { now: Date.now });
  const userId = await fixture.mustAddUser('ada');
  const { sql } = fixture.database;
  await sql`update users set role = ${role} where id = ${userId}`;
  const { sessionId } = await mustOpenSession(sql, userId);
  const caller: SessionPrincipal = {
    kind: 'session',
    sessionId,
    userId,
    username: 'ada',
    role,
  };
  const check = () => fixture.database.transaction((tx) => fixture.auth.requireAuthority(tx, caller));
  return { ...fixture, sql, caller, check };
}

describe('the authority of a caller in a transaction', () => {
  it('authority is confirmed while the session is live and the role is unchanged', async (t) => {
    const { check } = await mustAdmit(t, 'admin');
    await check();
  });

  it('authority is rejected with unauthenticated after the session has ended', async (t) => {
    const { sql, caller, check } = await mustAdmit(t, 'user');
    await sql`update sessions set ended_at = now(), end_reason = 'revoked' where id = ${caller.sessionId}`;
    await assert.rejects(check(), { code: 'unauthenticated' });
  });

  it('authority is rejected with forbidden after an admin has lost the role', async (t) => {
    const { sql, caller, check } = await mustAdmit(t, 'admin');
    await sql`update users set role = 'user' where id = ${caller.userId}`;
    await assert.rejects(check(), { code: 'forbidden' });
  });

  it('authority is confirmed for a user who became an admin after the request was authenticated', async (t) => {
    const { sql, caller, check } = await mustAdmit(t, 'user');
    await sql`update users set role = 'admin' where id = ${caller.userId}`;
    await check();
  });

  for (const [what, change] of [
    ['the role is removed', 'role'],
    ['the session is ended', 'session'],
  ] as const) {
    it(`if ${what} during a checked transaction, the change waits for the commit`, async (t) => {
      const { sql, caller, database, auth } = await mustAdmit(t, 'admin');
      const checked = createDeferred();
      const finish = createDeferred();
      const order: string[] = [];
      const work = database
        .transaction(async (tx) => {
          await auth.requireAuthority(tx, caller);
          checked.resolve();
          await finish.promise;
        })
        .then(() => order.push('committed'));
      await checked.promise;
      const changing = (
        change === 'role'
          ? sql`update users set role = 'user' where id = ${caller.userId}`.execute()
          : sql`update sessions set ended_at = now(), end_reason = 'revoked' where id = ${caller.sessionId}`.execute()
      ).then(() => order.push('changed'));
      // Waiting for a lock is what the change must be doing by now.
      for (;;) {
        const waiting = await sql`
          select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        if (waiting.length > 0) break;
      }
      assert.deepEqual(order, []);
      finish.resolve();
      // PostgreSQL lets the change proceed before it answers the COMMIT, so their answers come in either order.
      await Promise.all([work, changing]);
      assert.deepEqual(order.sort(), ['changed', 'committed']);
    });
  }
});

it('two admins who change each other at the same time do not deadlock', async (t) => {
  const { sql, database, auth, mustAddUser, caller } = await mustAdmit(t, 'admin');
  const otherId = await mustAddUser('grace');
  await sql`update users set role = 'admin' where id = ${otherId}`;
  const other = { ...caller, userId: otherId, ...(await mustOpenSession(sql, otherId)) };
  const users = createUsers({
    database,
    passwords: createPasswordHasher({ cost: 4 }),
    attempts: { underPermit: (_attempt, compare) => compare(), succeeded: async () => {} },
    auth,
    account: { sendVerification() {}, emailChanged() {}, async endMailedTokens() {} },
    authenticator: { forgetUser() {} },
    cache: { invalidate: async () => {} },
    log: captureLog().log,
    service: 'Strata',
  });
  const rename = (by: SessionPrincipal, id: number, username: string) =>
    users.update({ caller: by, address: '192.0.2.1', id, patch: { username }, condition: () => true });
  await Promise.all(
    Array.from({ length: 40 }, (_, nth) =>
      nth % 2 === 0 ? rename(caller, otherId, `grace_${nth}`) : rename(other, caller.userId, `ada_${nth}`),
    ),
  );
});
