import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { createPasswordHasher } from '../../../src/auth/password.ts';
import type { Database } from '../../../src/db/database.ts';
import { createImportUsersTask } from '../../../src/features/uploads/tasks.ts';
import { TaskRejection } from '../../../src/jobs/task.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { makeTaskContext, type TestTaskContext } from '../../helpers/task-context.ts';
import { mustConnect, mustOpenTestDatabase } from '../../helpers/test-database.ts';

/** The task over a database of its own that has the user `ada`, and a folder of uploads. */
async function mustPrepare(t: TestContext) {
  const database = await mustOpenTestDatabase(t);
  const { sql } = database;
  await sql`insert into users (username, email, password_hash) values ('ada', 'ada@example.org', 'none')`;
  const folder = await mustMakeFolder(t);
  const task = createImportUsersTask({ folder });
  return {
    database,
    task,
    files: () => readdir(folder),
    async mustUpload(content: string): Promise<{ readonly file: string }> {
      const file = randomUUID();
      await writeFile(join(folder, file), content);
      return { file };
    },
    async import(content: string, ctx: TestTaskContext = makeTaskContext(database)): Promise<unknown> {
      return task.run(await this.mustUpload(content), ctx);
    },
    async usernames(): Promise<string[]> {
      const rows = await sql<{ username: string }[]>`select username from users order by id`;
      return rows.map(({ username }) => username);
    },
  };
}

const header = 'username,email\n';
const many = (count: number) =>
  header + Array.from({ length: count }, (_, at) => `user_${at},user_${at}@example.org\n`).join('');

/** Returns the message and details of a refused import. */
async function rejectionOf(run: Promise<unknown>): Promise<{ message: string; details: unknown }> {
  const error = await run.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof TaskRejection, String(error));
  return { message: error.message, details: error.details };
}

describe('importing users', () => {
  it('an import inserts the users of the file in order and removes the file', async (t) => {
    const prepared = await mustPrepare(t);
    const content = '\ufeffemail,username\r\n"grace@example.org",grace\r\nAlan@Example.org,"Alan_T"\r\n';
    assert.deepEqual(await prepared.import(content), { imported: 2 });
    assert.deepEqual(await prepared.usernames(), ['ada', 'grace', 'Alan_T']);
    assert.deepEqual(await prepared.files(), []);
    const [alan] = await prepared.database.sql`
      select email, email_verified_at, role, version from users where username = 'Alan_T'`;
    assert.deepEqual(
      { ...alan },
      { email: 'Alan@Example.org', email_verified_at: null, role: 'user', version: 1 },
    );
  });

  it('imported users have an unusable password that takes as long to compare as any other', async (t) => {
    const prepared = await mustPrepare(t);
    await prepared.import(`${header}grace,grace@example.org\n`);
    const [grace] = await prepared.database.sql<{ password_hash: string }[]>`
      select password_hash from users where username = 'grace'`;
    const passwords = createPasswordHasher();
    const hash = grace?.password_hash ?? '';
    assert.equal(passwords.needsRehash(hash), false);
    for (const password of ['', 'grace', hash]) assert.equal(await passwords.verify(password, hash), false);
  });

  it('an import of thousands of rows reports increasing progress up to the end', async (t) => {
    const prepared = await mustPrepare(t);
    const ctx = makeTaskContext(prepared.database);
    assert.deepEqual(await prepared.import(many(3_210), ctx), { imported: 3_210 });
    const fractions = ctx.reports.map(({ fraction }) => fraction);
    assert.deepEqual(
      fractions,
      fractions.toSorted((a, b) => a - b),
    );
    assert.ok((fractions[0] ?? 1) < 0.01);
    assert.deepEqual(ctx.reports.at(-1), { fraction: 1, message: 'Inserted 3210 of 3210 users' });
    assert.equal((await prepared.usernames()).length, 3_211);
  });

  it('a file with only a header imports no users', async (t) => {
    const prepared = await mustPrepare(t);
    assert.deepEqual(await prepared.import(header), { imported: 0 });
  });
});

describe('a file with bad rows', () => {
  it('a file with bad rows is refused with the line and reason of each, and nothing is imported', async (t) => {
    const prepared = await mustPrepare(t);
    const { message, details } = await rejectionOf(
      prepared.import(
        `${header}grace,grace@example.org
al,al@example.org
"alan
turing",alan
,
edsger,edsger@example.org,x
GRACE,other@example.org
barbara,Grace@Example.org
ADA,lovelace@example.org
lovelace,Ada@Example.org
grace,grace@example.org
"donald,donald@example.org
`,
      ),
    );
    assert.equal(
      message,
      '10 rows of the file are invalid, so no user was imported: correct the file and send it again.',
    );
    assert.deepEqual(details, {
      rows: [
        { line: 3, reason: 'username: Use at least 3 characters.' },
        {
          line: 4,
          reason:
            'username: Use letters a to z, digits and underscores only. email: Use an e-mail address such as ada@example.org.',
        },
        {
          line: 6,
          reason:
            'username: Use at least 3 characters. username: Use letters a to z, digits and underscores only. email: Use an e-mail address such as ada@example.org.',
        },
        { line: 7, reason: 'The row has 3 fields, but the header has 2.' },
        { line: 8, reason: 'The username is already in line 2.' },
        { line: 9, reason: 'The e-mail address is already in line 2.' },
        { line: 10, reason: 'Another user has this username.' },
        { line: 11, reason: 'Another user has this e-mail address.' },
        {
          line: 12,
          reason: 'The username is already in line 2. The e-mail address is already in line 2.',
        },
        {
          line: 13,
          reason: 'A quote is opened in this row and never closed. The rest of the file was not checked.',
        },
      ],
      total: 10,
    });
    assert.deepEqual(await prepared.usernames(), ['ada']);
  });

  it('a refused file is kept, so that an attempt after an unrecorded rejection reports the same errors', async (t) => {
    const prepared = await mustPrepare(t);
    const payload = await prepared.mustUpload(`${header}al,al@example.org\n`);
    const attempt = async () => prepared.task.run(payload, makeTaskContext(prepared.database));
    const first = await rejectionOf(attempt());
    assert.deepEqual(first.details, {
      rows: [{ line: 2, reason: 'username: Use at least 3 characters.' }],
      total: 1,
    });
    assert.deepEqual(await rejectionOf(attempt()), first);
    assert.deepEqual(await prepared.files(), [payload.file]);
  });

  it('the first hundred bad rows are reported, and all are counted', async (t) => {
    const prepared = await mustPrepare(t);
    const { details } = await rejectionOf(
      prepared.import(many(900) + 'x,y\n'.repeat(150) + many(900).slice(header.length)),
    );
    const { rows, total } = details as { rows: { line: number }[]; total: number };
    assert.deepEqual([rows.length, rows[0]?.line, rows.at(-1)?.line, total], [100, 902, 1001, 1050]);
  });

  it('a file with other columns is refused for its header', async (t) => {
    const prepared = await mustPrepare(t);
    const { message, details } = await rejectionOf(
      prepared.import('username,email,role\neve,e@example.org,admin\n'),
    );
    const reason = 'The column "role" is unknown.';
    assert.equal(message, `The first line of the file must be "username,email": ${reason}`);
    assert.deepEqual(details, { rows: [{ line: 1, reason }], total: 1 });
    assert.deepEqual(await prepared.usernames(), ['ada']);
  });

  it('a file is refused exactly if it has a bad row', async (t) => {
    const prepared = await mustPrepare(t);
    const row = fc.record({
      username: fc.constantFrom('ann', 'bob', 'BOB', 'carol', 'ada', 'x', 'has space'),
      email: fc.constantFrom('a@example.org', 'b@example.org', 'B@example.org', 'c@example.org', 'nobody'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 4 }), async (rows) => {
        await prepared.database.sql`delete from users where username <> 'ada'`;
        const content = header + rows.map(({ username, email }) => `${username},${email}\n`).join('');
        const isGood = ({ username, email }: (typeof rows)[number]) =>
          /^\w{3,}$/.test(username) && email.includes('@') && username !== 'ada';
        const distinct = (values: string[]) => new Set(values.map((each) => each.toLowerCase())).size;
        const good =
          rows.every(isGood) &&
          distinct(rows.map(({ username }) => username)) === rows.length &&
          distinct(rows.map(({ email }) => email)) === rows.length;
        if (good) assert.deepEqual(await prepared.import(content), { imported: rows.length });
        else await rejectionOf(prepared.import(content));
        const expected = good ? rows.map(({ username }) => username) : [];
        assert.deepEqual(await prepared.usernames(), ['ada', ...expected]);
      }),
      { numRuns: 40 },
    );
  });
});

/** Another connection to the same database, already open. */
async function mustConnectAgain(t: TestContext, url: string): Promise<Database> {
  const other = mustConnect(t, { url });
  await other.ping(5_000);
  return other;
}

describe('an interrupted import', () => {
  it('an import whose connection is closed leaves no users, and keeps the file for the next attempt', async (t) => {
    const prepared = await mustPrepare(t);
    const { sql } = await mustConnectAgain(t, prepared.database.url);
    let killed: Promise<unknown> | undefined;
    const ctx = makeTaskContext(prepared.database, ({ fraction }) => {
      if (fraction <= 0.7) return;
      killed ??= sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`.then();
    });
    const payload = await prepared.mustUpload(many(20_000));
    await assert.rejects(
      async () => prepared.task.run(payload, ctx),
      (error) => !(error instanceof TaskRejection),
    );
    await killed;
    assert.deepEqual(await prepared.usernames(), ['ada']);
    assert.deepEqual(await prepared.files(), [payload.file]);
    const again = makeTaskContext(prepared.database);
    assert.deepEqual(await prepared.task.run(payload, again), { imported: 20_000 });
    assert.deepEqual(await prepared.files(), []);
  });

  for (const [when, share] of [
    ['while it reads', 0.3],
    ['while it inserts', 0.8],
  ] as const) {
    it(`an import that is aborted ${when} stops soon and leaves no users`, async (t) => {
      const prepared = await mustPrepare(t);
      const ctx = makeTaskContext(prepared.database, ({ fraction }) => {
        if (fraction >= share) ctx.abort(new Error('Cancelled.'));
      });
      const payload = await prepared.mustUpload(many(20_000));
      await assert.rejects(async () => prepared.task.run(payload, ctx), { message: 'Cancelled.' });
      assert.ok(ctx.reports.every(({ fraction }) => fraction < share + 0.1));
      assert.deepEqual(await prepared.usernames(), ['ada']);
    });
  }

  it('an import that collides with a concurrent registration is retried and then refused', async (t) => {
    const prepared = await mustPrepare(t);
    const { sql } = await mustConnectAgain(t, prepared.database.url);
    let registered: Promise<unknown> | undefined;
    const ctx = makeTaskContext(prepared.database, ({ fraction }) => {
      if (fraction <= 0.7) return;
      registered ??= sql`
        insert into users (username, email, password_hash) values ('User_19999', 'new@example.org', 'none')`.then();
    });
    const payload = await prepared.mustUpload(many(20_000));
    await assert.rejects(
      async () => prepared.task.run(payload, ctx),
      (error) => !(error instanceof TaskRejection),
    );
    await registered;
    const { details } = await rejectionOf(
      Promise.resolve(prepared.task.run(payload, makeTaskContext(prepared.database))),
    );
    assert.deepEqual(details, {
      rows: [{ line: 20_001, reason: 'Another user has this username.' }],
      total: 1,
    });
  });

  it('an import whose file is on another machine reports that the folder must be shared', async (t) => {
    const prepared = await mustPrepare(t);
    const { message } = await rejectionOf(
      Promise.resolve(prepared.task.run({ file: randomUUID() }, makeTaskContext(prepared.database))),
    );
    assert.match(message, /does not share the uploads folder \(APP_DATA_DIR\)/);
  });

  it('an import with a path as payload is rejected', async (t) => {
    const prepared = await mustPrepare(t);
    for (const file of ['../secret', '/etc/passwd', '']) {
      assert.throws(() => prepared.task.run({ file }, makeTaskContext(prepared.database)), /Invalid UUID/);
    }
  });
});
