/**
 * A process remembers for some seconds who stands behind a credential. Here everything is changed behind its back, by SQL,
 * as another process or the operator's command does it: a request that changes something must be refused all the same.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { defaultApp } from '../../src/cli/generated-pages.ts';
import type { Sql } from '../../src/db/sql.ts';
import type { Route } from '../../src/http/route.ts';
import { isOpen, isSafe } from '../../src/http/route-access.ts';
import { boundary, formBody, formType } from '../helpers/multipart.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { mustStartApp, type TestApp } from '../helpers/test-app.ts';
import { mustInsertApiKey, mustInsertUser, mustOpenSession } from '../helpers/test-credentials.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const csv = 'username,email\ngrace,grace@example.org\n';
const json = { 'content-type': 'application/json' };

/** Things that belong to one user. */
interface Belongings {
  readonly userId: number;
  readonly postId: number;
  readonly taskId: number;
  readonly keyId: number;
  readonly sessionId: string;
}

interface Sent {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** A request of each operation that changes something, on the things of one user. */
const requests: Readonly<Record<string, (of: Belongings) => Sent>> = {
  logoutAll: () => ({ path: '/auth/logout-all' }),
  endSession: ({ sessionId }) => ({ path: `/auth/sessions/${sessionId}` }),
  changePassword: () => ({
    path: '/auth/password',
    headers: json,
    body: '{"current_password":"a former password","new_password":"correct horse battery"}',
  }),
  requestEmailVerification: () => ({ path: '/auth/email-verification' }),
  createApiKey: () => ({
    path: '/auth/api-keys',
    headers: json,
    body: '{"name":"A program","scopes":["posts:write"]}',
  }),
  revokeApiKey: ({ keyId }) => ({ path: `/auth/api-keys/${keyId}` }),
  updateUser: ({ userId }) => ({
    path: `/users/${userId}`,
    headers: json,
    body: `{"username":"renamed_${userId}"}`,
  }),
  deleteUser: ({ userId }) => ({ path: `/users/${userId}` }),
  welcomeUser: ({ userId }) => ({ path: `/users/${userId}/welcome` }),
  createPost: () => ({ path: '/posts', headers: json, body: '{"title":"A title","body":"A text"}' }),
  updatePost: ({ postId }) => ({ path: `/posts/${postId}`, headers: json, body: '{"title":"Another"}' }),
  deletePost: ({ postId }) => ({ path: `/posts/${postId}` }),
  cancelTask: ({ taskId }) => ({ path: `/tasks/${taskId}` }),
  uploadFile: () => ({
    path: '/uploads',
    headers: { 'content-type': formType },
    body: formBody({ name: 'file', filename: 'users.csv', content: csv }),
  }),
};

/** What an admin may do with the things of others. */
const ofAdmins = [
  'updateUser',
  'deleteUser',
  'welcomeUser',
  'updatePost',
  'deletePost',
  'cancelTask',
  'uploadFile',
];

/** What needs more than the session to succeed. */
const needsPassword = new Set(['changePassword']);

let app: TestApp;
let sql: Sql;
const { routes } = defaultApp();
const cleanUps: (() => Promise<void> | void)[] = [];

before(async () => {
  const t = { after: (work: () => Promise<void> | void) => void cleanUps.unshift(work) };
  app = await mustStartApp(t, {
    databaseUrl: await mustCreateDatabase(t),
    env: { APP_DATA_DIR: await mustMakeFolder(t) },
  });
  sql = app.database.sql;
});
after(async () => {
  for (const cleanUp of cleanUps) await cleanUp();
});

async function mustOwn(userId: number): Promise<Belongings> {
  const [post] = await sql<{ id: number }[]>`
    insert into posts (author_id, title, body) values (${userId}, 'A title', 'A text') returning id`;
  const { sessionId } = await mustOpenSession(sql, userId);
  const { keyId } = await mustInsertApiKey(sql, userId);
  const [job] = await sql<{ id: number }[]>`
    insert into jobs (name, queue, state, priority, payload, user_id, max_attempts, timeout_ms)
    values ('send_email', 'mail', 'available', 1, '{}', ${userId}, 1, 1000) returning id`;
  assert.ok(post !== undefined && job !== undefined);
  return { userId, postId: post.id, taskId: job.id, keyId, sessionId };
}

/** Everything that a request could have changed. */
async function snapshot(): Promise<unknown> {
  return sql`
    select 'user' as what, t::text as row from users t
    union all select 'post', t::text from posts t
    union all select 'session', t::text from sessions t
    union all select 'key', (id, user_id, scopes, expires_at)::text from api_keys t
    union all select 'job', t::text from jobs t
    union all select 'token', t::text from one_time_tokens t
    union all select 'answer', t::text from idempotency_keys t
    order by 1, 2`;
}

function routeOf(operationId: string): Route {
  const found = routes.find((route) => route.operationId === operationId);
  assert.ok(found !== undefined, operationId);
  return found;
}

async function send(operationId: string, of: Belongings, headers: Readonly<Record<string, string>>) {
  const { path, headers: own = {}, body } = requests[operationId]?.(of) ?? assert.fail(operationId);
  return fetch(`${app.api}${path}`, {
    method: routeOf(operationId).method,
    headers: { ...own, ...headers },
    ...(body !== undefined && { body }),
  });
}

/** The caller is known to the process from here on. */
async function mustBeKnown(headers: Readonly<Record<string, string>>): Promise<void> {
  assert.equal((await fetch(`${app.api}/users/me`, { headers })).status, 200);
}

async function mustBeRefused(
  operationId: string,
  of: Belongings,
  headers: Readonly<Record<string, string>>,
  statuses: readonly number[],
): Promise<void> {
  const before = await snapshot();
  // What makes the test one: the process still takes the caller for who that was.
  await mustBeKnown(headers);
  const { status } = await send(operationId, of, headers);
  assert.ok(statuses.includes(status), `${operationId} was answered ${status}`);
  assert.deepEqual(await snapshot(), before);
}

it('every route that changes something for a known caller is in the table of this test', () => {
  const changing = routes.filter((route) => !isSafe(route) && !isOpen(route));
  assert.deepEqual(changing.map(({ operationId }) => operationId).sort(), Object.keys(requests).sort());
});

it('every operation that changes something stands in the table of docs/identity.md', async () => {
  const page = await readFile(new URL('../../docs/identity.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  for (const operationId of Object.keys(requests)) {
    assert.equal(rows.filter((row) => row.includes(`\`${operationId}\``)).length, 1, operationId);
  }
});

for (const operationId of Object.keys(requests)) {
  describe(operationId, () => {
    const role = operationId === 'uploadFile' ? 'admin' : 'user';

    it('succeeds for a caller whose session is live', async () => {
      const of = await mustOwn(await mustInsertUser(sql, role));
      const { headers } = await mustOpenSession(sql, of.userId);
      const { status } = await send(operationId, of, headers);
      assert.ok(needsPassword.has(operationId) ? status === 422 : status < 300, String(status));
    });

    it('is refused for a session that was ended elsewhere', async () => {
      const of = await mustOwn(await mustInsertUser(sql, role));
      const { headers, sessionId } = await mustOpenSession(sql, of.userId);
      await mustBeKnown(headers);
      await sql`update sessions set ended_at = now(), end_reason = 'operator' where id = ${sessionId}`;
      await mustBeRefused(operationId, of, headers, [401]);
    });

    it('is refused for a user who was deleted elsewhere', async () => {
      const of = await mustOwn(await mustInsertUser(sql, role));
      const { headers } = await mustOpenSession(sql, of.userId);
      // Known to this process, although the answer to who it is needs the user's row.
      await mustBeKnown(headers);
      await sql`delete from users where id = ${of.userId}`;
      const before = await snapshot();
      const { status } = await send(operationId, of, headers);
      assert.equal(status, 401);
      assert.deepEqual(await snapshot(), before);
    });

    it('is refused for an API key that was revoked elsewhere', async () => {
      const of = await mustOwn(await mustInsertUser(sql, role));
      const { headers, keyId } = await mustInsertApiKey(sql, of.userId);
      await mustBeKnown(headers);
      await sql`delete from api_keys where id = ${keyId}`;
      // Where no API key is enough, that is found out first, and without the database.
      await mustBeRefused(operationId, of, headers, [routeOf(operationId).auth === 'user' ? 403 : 401]);
    });
  });
}

for (const operationId of ofAdmins) {
  describe(`${operationId} on what belongs to somebody else`, () => {
    it('succeeds for an admin', async () => {
      const of = await mustOwn(await mustInsertUser(sql));
      const { headers } = await mustOpenSession(sql, await mustInsertUser(sql, 'admin'));
      const { status } = await send(operationId, of, headers);
      assert.ok(status < 300, String(status));
    });

    it('is refused for an admin whose role was taken away elsewhere', async () => {
      const of = await mustOwn(await mustInsertUser(sql));
      const adminId = await mustInsertUser(sql, 'admin');
      const { headers } = await mustOpenSession(sql, adminId);
      await mustBeKnown(headers);
      await sql`update users set role = 'user' where id = ${adminId}`;
      await mustBeRefused(operationId, of, headers, [403, 404]);
    });
  });
}

describe('a request whose body is still arriving when the role of its admin is taken away', () => {
  it('changes no e-mail address', async () => {
    const of = await mustOwn(await mustInsertUser(sql));
    await mustChangeNothing(`/users/${of.userId}`, 'PATCH', json, ['{"email":', '"thief@example.org"}']);
  });

  it('imports no users', async () => {
    const body = formBody({ name: 'file', filename: 'users.csv', content: csv }).toString();
    const cut = body.indexOf('grace');
    const parts = [body.slice(0, cut), body.slice(cut)] as const;
    assert.ok(parts[1].includes(boundary));
    await mustChangeNothing('/uploads', 'POST', { 'content-type': formType }, parts);
  });

  async function mustChangeNothing(
    path: string,
    method: string,
    type: Readonly<Record<string, string>>,
    [start, end]: readonly [string, string],
  ): Promise<void> {
    const adminId = await mustInsertUser(sql, 'admin');
    const { headers } = await mustOpenSession(sql, adminId);
    const sending = request(`${app.api}${path}`, {
      method,
      headers: { ...headers, ...type, expect: '100-continue' },
    });
    // The server asks for the body only after it has admitted the caller.
    const asked = new Promise<void>((resolve) => sending.once('continue', resolve));
    const answered = new Promise<number | undefined>((resolve, reject) => {
      sending.once('response', (response) => resolve(response.resume().statusCode));
      sending.once('error', reject);
    });
    sending.flushHeaders();
    await asked;
    sending.write(start);
    await sql`update users set role = 'user' where id = ${adminId}`;
    const before = await snapshot();
    sending.end(end);
    const status = await answered;
    assert.ok(status === 403 || status === 404, String(status));
    assert.deepEqual(await snapshot(), before);
  }
});

describe('the answer to an idempotent request about somebody else', () => {
  async function mustAnswer() {
    const victim = await mustOwn(await mustInsertUser(sql));
    const adminId = await mustInsertUser(sql, 'admin');
    const { headers } = await mustOpenSession(sql, adminId);
    const again = (own: Readonly<Record<string, string>>) =>
      send('updateUser', victim, { ...own, 'idempotency-key': `key-of-${adminId}` });
    const first = await again(headers);
    assert.equal(first.status, 200);
    return { adminId, headers, again };
  }

  it('is replayed to the admin who made it', async () => {
    const { headers, again } = await mustAnswer();
    const replay = await again(headers);
    assert.equal(replay.headers.get('idempotency-replayed'), 'true');
  });

  it('is not replayed after the role was taken away', async () => {
    const { adminId, headers, again } = await mustAnswer();
    await sql`update users set role = 'user' where id = ${adminId}`;
    const replay = await again(headers);
    assert.equal(replay.status, 422);
    assert.ok(!(await replay.text()).includes('@example.org'));
  });

  it('is not replayed to an API key of the admin, which acts as a plain user', async () => {
    const { adminId, again } = await mustAnswer();
    const replay = await again((await mustInsertApiKey(sql, adminId)).headers);
    assert.equal(replay.status, 422);
    assert.ok(!(await replay.text()).includes('@example.org'));
  });
});
