import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { createPasswordHasher } from '../../src/auth/password.ts';
import { changeRole, createUserAccount, endSessions, listAccounts } from '../../src/cli/accounts.ts';
import type { Database } from '../../src/db/database.ts';
import { StartError } from '../../src/errors.ts';
import { mustOpenTestDatabase } from '../helpers/test-database.ts';

const passwords = createPasswordHasher({ cost: 4 });

const ada = {
  username: 'ada',
  email: 'ada@example.org',
  password: 'correct horse battery staple',
  role: 'user',
} as const;

async function mustOpenWith(t: TestContext, names: readonly string[]): Promise<Database> {
  const database = await mustOpenTestDatabase(t);
  for (const name of names) {
    const email = `${name}@example.org`;
    await database.sql`insert into users (username, email, password_hash) values (${name}, ${email}, 'x')`;
  }
  return database;
}

/** Whether the password is that of the only user. */
async function signsIn({ sql }: Database, password: string): Promise<boolean> {
  const [row] = await sql<{ password_hash: string }[]>`select password_hash from users`;
  return passwords.verify(password, row?.password_hash ?? '');
}

describe('an account from the command line', () => {
  it('a created account has the given role and password', async (t) => {
    const database = await mustOpenWith(t, []);
    const { account, generated } = await createUserAccount(database, { ...ada, role: 'admin' }, passwords);
    assert.deepEqual([account.username, account.role, generated], ['ada', 'admin', undefined]);
    assert.equal(await signsIn(database, ada.password), true);
  });

  it('an account without a password gets a generated one', async (t) => {
    const database = await mustOpenWith(t, []);
    const { account, generated = '' } = await createUserAccount(
      database,
      { ...ada, password: undefined },
      passwords,
    );
    assert.equal(account.role, 'user');
    assert.match(generated, /^[\w-]{24}$/);
    assert.equal(await signsIn(database, generated), true);
  });

  it('invalid fields are rejected with one line each, without the password', async (t) => {
    const database = await mustOpenWith(t, []);
    for (const [change, expected] of [
      [
        { username: 'a', email: 'nobody', password: 'qx' },
        /^username: [^\n]+\nemail: [^\n]+\npassword: [^\n]+$/,
      ],
      [{ password: 'password123' }, /^password: Choose another/],
      [{ password: 'ada@example.org' }, /^password: Choose another/],
      [{ password: '' }, /^password: Use at least 8 characters\.$/],
    ] as const) {
      await assert.rejects(createUserAccount(database, { ...ada, ...change }, passwords), (error) => {
        assert.ok(error instanceof StartError, String(error));
        assert.match(error.message, expected);
        assert.doesNotMatch(error.message, /password123|qx/);
        return true;
      });
    }
    assert.equal((await database.sql`select from users`).length, 0);
  });

  it('taken fields are rejected by name', async (t) => {
    const database = await mustOpenWith(t, ['ada', 'bob']);
    const taken = (what: string) => new StartError(`The ${what} already taken: choose another.`);
    await assert.rejects(
      createUserAccount(database, { ...ada, username: 'ADA' }, passwords),
      taken('username and the email are'),
    );
    await assert.rejects(
      createUserAccount(database, { ...ada, email: 'a@example.org' }, passwords),
      taken('username is'),
    );
    await assert.rejects(
      createUserAccount(database, { ...ada, username: 'ada2' }, passwords),
      taken('email is'),
    );
  });
});

describe('a role', () => {
  it('a role is changed by the name of the user in any case, and the version of the user changes with it', async (t) => {
    const database = await mustOpenWith(t, ['ada', 'bob']);
    const given = await changeRole(database, 'ADA', 'admin');
    assert.deepEqual([given.account.username, given.account.role, given.changed], ['ada', 'admin', true]);
    assert.equal(given.account.version, 2);
    const again = await changeRole(database, 'ada', 'admin');
    assert.deepEqual([again.account.version, again.changed, again.adminsLeft], [2, false, true]);
  });

  it('changing the role of the last admin reports that no admin is left', async (t) => {
    const database = await mustOpenWith(t, ['ada', 'bob']);
    await changeRole(database, 'ada', 'admin');
    await changeRole(database, 'bob', 'admin');
    assert.equal((await changeRole(database, 'ada', 'user')).adminsLeft, true);
    assert.equal((await changeRole(database, 'bob', 'user')).adminsLeft, false);
  });

  it('the role of an unknown user cannot be changed', async (t) => {
    const unknown = new StartError(
      'There is no user with the name "eve": check it with `npm run user -- list`.',
    );
    await assert.rejects(changeRole(await mustOpenWith(t, ['ada']), 'eve', 'admin'), unknown);
  });
});

it('the list has every account once over many pages, or only the admins', async (t) => {
  const database = await mustOpenWith(t, []);
  await database.sql`
    insert into users (username, email, password_hash, role)
    select 'user_' || n, 'user_' || n || '@example.org', 'x', case when n % 600 = 0 then 'admin' else 'user' end
    from generate_series(1, 1200) n`;
  const ids = async (role: 'admin' | null) => {
    const found: number[] = [];
    for await (const { id } of listAccounts(database, role)) found.push(id);
    return found;
  };
  assert.deepEqual(
    await ids(null),
    Array.from({ length: 1200 }, (_, index) => index + 1),
  );
  assert.deepEqual(await ids('admin'), [600, 1200]);
});

it('ending the sessions of a user ends the live ones, and none of other users', async (t) => {
  const database = await mustOpenWith(t, ['ada', 'bob']);
  for (const [userId, days] of [
    [1, 1],
    [1, 2],
    [1, -1],
    [2, 1],
  ] as const) {
    await database.sql`
      insert into sessions
        (id, user_id, transport, address, user_agent, current_hash, created_at, rotated_at, expires_at, ends_at)
      values
        (${randomUUID()}, ${userId}, 'body', '127.0.0.1', '', ${randomBytes(32)}, now(), now(),
        now() + ${days} * interval '1 day', now() + interval '9 days')`;
  }
  assert.equal((await endSessions(database, 'Ada')).count, 2);
  const ended = await database.sql<{ user_id: number; end_reason: string }[]>`
    select user_id, end_reason from sessions where ended_at is not null`;
  assert.deepEqual(
    [...ended],
    [
      { user_id: 1, end_reason: 'operator' },
      { user_id: 1, end_reason: 'operator' },
    ],
  );
  assert.equal((await endSessions(database, 'ada')).count, 0);
});
