/**
 * A process caches for some seconds which user a credential belongs to. A request that changes something must be refused
 * all the same once another process has ended the session, revoked the key or taken the role away.
 */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { defaultApp } from '../../src/cli/generated-pages.ts';
import type { Sql } from '../../src/db/sql.ts';
import { isOpen, isSafe } from '../../src/http/route-policy.ts';
import { formBody, formType } from '../helpers/multipart.ts';
import { createNotesTable, notesRoutes } from '../helpers/notes.ts';
import {
  type ChangingOperation,
  json,
  type StaleRequest,
  testStaleAuthority,
} from '../helpers/stale-authority.ts';
import { mustInsertApiKey, mustInsertUser, mustOpenSession } from '../helpers/test-credentials.ts';

/** The rows of one user. */
interface Belongings {
  readonly userId: number;
  readonly noteId: number;
  readonly taskId: number;
  readonly keyId: number;
  readonly sessionId: string;
}

const updateUser: ChangingOperation<Belongings> = {
  ...{ operationId: 'updateUser', method: 'PATCH', forAdmins: true },
  request: ({ userId }) => ({
    ...{ path: `/users/${userId}`, headers: json, body: `{"username":"renamed_${userId}"}` },
  }),
};

const operations: readonly ChangingOperation<Belongings>[] = [
  {
    ...{ operationId: 'logoutAll', method: 'POST', sessionOnly: true },
    request: () => ({ path: '/auth/logout-all' }),
  },
  {
    ...{ operationId: 'endSession', method: 'DELETE', sessionOnly: true },
    request: ({ sessionId }) => ({ path: `/auth/sessions/${sessionId}` }),
  },
  {
    ...{ operationId: 'changePassword', method: 'POST', sessionOnly: true, liveStatus: 422 },
    request: () => ({
      path: '/auth/password',
      headers: json,
      body: '{"current_password":"a former password","new_password":"correct horse battery"}',
    }),
  },
  {
    ...{ operationId: 'requestEmailVerification', method: 'POST', sessionOnly: true },
    request: () => ({ path: '/auth/email-verification' }),
  },
  {
    ...{ operationId: 'createApiKey', method: 'POST', sessionOnly: true },
    request: () => ({
      path: '/auth/api-keys',
      headers: json,
      body: '{"name":"A program","scopes":["tasks:write"]}',
    }),
  },
  {
    ...{ operationId: 'revokeApiKey', method: 'DELETE', sessionOnly: true },
    request: ({ keyId }) => ({ path: `/auth/api-keys/${keyId}` }),
  },
  updateUser,
  {
    ...{ operationId: 'deleteUser', method: 'DELETE', sessionOnly: true, forAdmins: true },
    request: ({ userId }) => ({ path: `/users/${userId}` }),
  },
  {
    ...{ operationId: 'welcomeUser', method: 'POST', forAdmins: true },
    request: ({ userId }) => ({ path: `/users/${userId}/welcome` }),
  },
  {
    ...{ operationId: 'cancelTask', method: 'DELETE', forAdmins: true },
    request: ({ taskId }) => ({ path: `/tasks/${taskId}` }),
  },
  {
    ...{ operationId: 'createNote', method: 'POST' },
    request: () => ({ path: '/notes', headers: json, body: '{"title":"A note"}' }),
  },
  {
    ...{ operationId: 'updateNote', method: 'PATCH', forAdmins: true },
    request: ({ noteId }) => ({ path: `/notes/${noteId}`, headers: json, body: '{"title":"Another"}' }),
  },
  {
    ...{ operationId: 'deleteNote', method: 'DELETE', forAdmins: true },
    request: ({ noteId }) => ({ path: `/notes/${noteId}` }),
  },
];

async function mustOwn(sql: Sql, userId: number): Promise<Belongings> {
  const [note] = await sql<{ id: number }[]>`
    insert into notes (owner_id, title) values (${userId}, 'A note') returning id`;
  const { sessionId } = await mustOpenSession(sql, userId);
  const { keyId } = await mustInsertApiKey(sql, userId);
  const [job] = await sql<{ id: number }[]>`
    insert into jobs (name, queue, state, priority, payload, user_id, max_attempts, timeout_ms)
    values ('send_email', 'mail', 'available', 1, '{}', ${userId}, 1, 1000) returning id`;
  assert.ok(note !== undefined && job !== undefined);
  return { userId, noteId: note.id, taskId: job.id, keyId, sessionId };
}

const { app, send, mustBeKnown, snapshot, mustRejectLateBody } = testStaleAuthority({
  ...{ operations, mustOwn, prepare: createNotesTable, routesOf: notesRoutes },
});

const { routes, settings } = defaultApp();
const prefix = settings.application.apiPrefix;
const changing = routes.filter((route) => !isSafe(route) && !isOpen(route));

it('every operation of users, sessions and tasks that changes something for a known caller is in this file', () => {
  const tested = new Set(operations.map(({ operationId }) => operationId));
  const core = changing.filter(({ tags }) => tags.some((tag) => ['auth', 'users', 'tasks'].includes(tag)));
  assert.deepEqual(
    core.filter(({ operationId }) => !tested.has(operationId)).map(({ operationId }) => operationId),
    [],
  );
});

describe('every operation of the program that changes something', () => {
  for (const route of changing) {
    it(`${route.operationId} is refused to an admin whose session another process has ended`, async () => {
      const { sql } = app().database;
      const { headers, sessionId } = await mustOpenSession(sql, await mustInsertUser(sql, 'admin'));
      await mustBeKnown(headers);
      await sql`update sessions set ended_at = now(), end_reason = 'operator' where id = ${sessionId}`;
      const before = await snapshot();
      await mustBeKnown(headers);
      const path = route.path.slice(prefix.length).replaceAll(/[:*]\w+/g, '1');
      const { status } = await send(route.method, { path, ...acceptedBody(route) }, headers);
      // A route for API keys only refuses every session.
      assert.equal(status, route.auth === 'apiKey' ? 403 : 401);
      assert.deepEqual(await snapshot(), before);
    });
  }

  /** Returns a body of a type that the route accepts. */
  function acceptedBody({ body, upload }: (typeof changing)[number]): Omit<StaleRequest, 'path'> {
    if (upload !== undefined) {
      return {
        headers: { 'content-type': formType },
        body: formBody({ name: upload.field, filename: 'a.csv', content: '' }),
      };
    }
    return body === undefined ? {} : { headers: json, body: '{}' };
  }
});

it('a change of an e-mail address is refused when the role of the admin is taken away while the body arrives', async () => {
  const { sql } = app().database;
  const path = `/users/${await mustInsertUser(sql)}`;
  await mustRejectLateBody('PATCH', { path, headers: json }, ['{"email":', '"thief@example.org"}']);
});

describe('the answer to an idempotent request on the data of another user', () => {
  async function mustAnswer() {
    const { sql } = app().database;
    const victim = await mustOwn(sql, await mustInsertUser(sql));
    const adminId = await mustInsertUser(sql, 'admin');
    const { headers } = await mustOpenSession(sql, adminId);
    const again = (own: Readonly<Record<string, string>>) =>
      send('PATCH', updateUser.request(victim), { ...own, 'idempotency-key': `key-of-${adminId}` });
    const first = await again(headers);
    assert.equal(first.status, 200);
    return { sql, adminId, headers, again };
  }

  it('is replayed to the admin who made the request', async () => {
    const { headers, again } = await mustAnswer();
    const replay = await again(headers);
    assert.equal(replay.headers.get('idempotency-replayed'), 'true');
  });

  it('is not replayed to an admin whose role was taken away', async () => {
    const { sql, adminId, headers, again } = await mustAnswer();
    await sql`update users set role = 'user' where id = ${adminId}`;
    const replay = await again(headers);
    assert.equal(replay.status, 422);
    assert.ok(!(await replay.text()).includes('@example.org'));
  });

  it('is not replayed to an API key of the admin, which acts as a plain user', async () => {
    const { sql, adminId, again } = await mustAnswer();
    const replay = await again((await mustInsertApiKey(sql, adminId)).headers);
    assert.equal(replay.status, 422);
    assert.ok(!(await replay.text()).includes('@example.org'));
  });
});

it('the table of docs/identity.md has every operation of the core that changes something', async () => {
  const page = await readFile(new URL('../../docs/identity.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const ofNotes = new Set(notesRoutes(() => app().database).map(({ operationId }) => operationId));
  for (const { operationId } of operations) {
    if (ofNotes.has(operationId)) continue;
    assert.equal(rows.filter((row) => row.includes(`\`${operationId}\``)).length, 1, operationId);
  }
});
