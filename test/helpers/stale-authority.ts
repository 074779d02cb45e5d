/**
 * Tests that an operation which changes something is refused to a caller whose authority has ended, although this process
 * still has the caller in its cache. The session, the user, the API key or the role is changed by SQL, as another process
 * or the operator's command line changes it.
 *
 * A test file names its operations and inserts the rows that they work on:
 *
 *     testStaleAuthority({
 *       operations: [{ operationId: 'deleteNote', method: 'DELETE', forAdmins: true, request: ({ noteId }) => ({ … }) }],
 *       mustOwn: async (sql, userId) => ({ noteId: … }),
 *     });
 */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import type { Role } from '../../src/auth/principal.ts';
import type { Database } from '../../src/db/database.ts';
import type { Sql } from '../../src/db/sql.ts';
import type { Route } from '../../src/http/route.ts';
import type { Method } from '../../src/http/route-declaration.ts';
import { mustMakeFolder } from './program.ts';
import { mustStartApp, type TestApp } from './test-app.ts';
import { mustInsertApiKey, mustInsertUser, mustOpenSession } from './test-credentials.ts';
import { mustConnect, mustCreateDatabase } from './test-database.ts';

export const json = { 'content-type': 'application/json' };

export interface StaleRequest {
  /** Below the API prefix. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface ChangingOperation<Own> {
  readonly operationId: string;
  readonly method: Method;
  /** Returns a request that changes rows of this user. */
  request(own: Own): StaleRequest;
  /** The role that the caller needs; by default `user`. */
  readonly role?: Role;
  /** Whether an admin may use the operation on the rows of another user. */
  readonly forAdmins?: boolean;
  /** Whether only a session may use the operation, so that an API key gets 403. */
  readonly sessionOnly?: boolean;
  /** The status for a caller with authority, if the request cannot succeed without more, such as a password. */
  readonly liveStatus?: number;
}

export interface StaleAuthorityOptions<Own> {
  readonly operations: readonly ChangingOperation<Own>[];
  /** Inserts the rows of a user. */
  mustOwn(sql: Sql, userId: number): Promise<Own>;
  /** Prepares the database before the application starts. */
  prepare?(sql: Sql): Promise<void>;
  readonly routesOf?: (databaseOf: () => Database) => readonly Route[];
}

export interface StaleAuthority {
  app(): TestApp;
  /** Sends a request with the method of an operation. */
  send(method: Method, sent: StaleRequest, headers: Readonly<Record<string, string>>): Promise<Response>;
  /** Puts the caller into the cache of this process. */
  mustBeKnown(headers: Readonly<Record<string, string>>): Promise<void>;
  /** Returns every row of the database, without what a use of a credential records. */
  snapshot(): Promise<unknown>;
  /** Sends half of a body, takes the role from the admin who sends it, and sends the rest. */
  mustRejectLateBody(
    method: Method,
    sent: Omit<StaleRequest, 'body'>,
    halves: readonly [string, string],
  ): Promise<void>;
}

/** Starts the application for the length of the file, and declares the tests of the operations. */
export function testStaleAuthority<Own>(options: StaleAuthorityOptions<Own>): StaleAuthority {
  const { operations, mustOwn, prepare, routesOf } = options;
  const cleanUps: (() => Promise<void> | void)[] = [];
  let app: TestApp;
  let sql: Sql;

  before(async () => {
    const t = { after: (work: () => Promise<void> | void) => void cleanUps.unshift(work) };
    const databaseUrl = await mustCreateDatabase(t);
    await prepare?.(mustConnect(t, { url: databaseUrl, poolSize: 1 }).sql);
    app = await mustStartApp(t, {
      databaseUrl,
      env: { APP_DATA_DIR: await mustMakeFolder(t) },
      ...(routesOf !== undefined && { extraRoutes: routesOf(() => app.database) }),
    });
    sql = app.database.sql;
  });
  after(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });

  const send: StaleAuthority['send'] = (method, { path, headers: own = {}, body }, headers) =>
    fetch(`${app.api}${path}`, {
      method,
      headers: { ...own, ...headers },
      ...(body !== undefined && { body }),
    });

  const mustBeKnown: StaleAuthority['mustBeKnown'] = async (headers) => {
    assert.equal((await fetch(`${app.api}/users/me`, { headers })).status, 200);
  };

  async function snapshot(): Promise<unknown> {
    const tables = await sql<{ name: string }[]>`
      select tablename as name from pg_tables where schemaname = current_schema() order by 1`;
    return Promise.all(
      tables.map(({ name }) =>
        name === 'api_keys'
          ? sql`select id, user_id, scopes, expires_at from api_keys order by id`
          : sql`select each::text as row from ${sql(name)} as each order by 1`,
      ),
    );
  }

  async function mustBeRejected(
    { operationId, method, request }: ChangingOperation<Own>,
    own: Own,
    headers: Readonly<Record<string, string>>,
    statuses: readonly number[],
  ): Promise<void> {
    const before = await snapshot();
    // The process still treats the caller as a user with authority: without this, the test shows nothing.
    await mustBeKnown(headers);
    const { status } = await send(method, request(own), headers);
    assert.ok(statuses.includes(status), `${operationId} was answered with ${status}`);
    assert.deepEqual(await snapshot(), before);
  }

  for (const operation of operations) {
    const { operationId, method, request, role = 'user', liveStatus } = operation;
    describe(operationId, () => {
      it(`${operationId} succeeds for a caller with a live session`, async () => {
        const userId = await mustInsertUser(sql, role);
        const { headers } = await mustOpenSession(sql, userId);
        const { status } = await send(method, request(await mustOwn(sql, userId)), headers);
        assert.ok(liveStatus === undefined ? status < 300 : status === liveStatus, String(status));
      });

      it(`${operationId} is refused to a session that another process has ended`, async () => {
        const userId = await mustInsertUser(sql, role);
        const own = await mustOwn(sql, userId);
        const { headers, sessionId } = await mustOpenSession(sql, userId);
        await mustBeKnown(headers);
        await sql`update sessions set ended_at = now(), end_reason = 'operator' where id = ${sessionId}`;
        await mustBeRejected(operation, own, headers, [401]);
      });

      it(`${operationId} is refused to a user whom another process has deleted`, async () => {
        const userId = await mustInsertUser(sql, role);
        const own = await mustOwn(sql, userId);
        const { headers } = await mustOpenSession(sql, userId);
        // After the deletion /users/me no longer answers, so the caller is put into the cache only before it.
        await mustBeKnown(headers);
        await sql`delete from users where id = ${userId}`;
        const before = await snapshot();
        assert.equal((await send(method, request(own), headers)).status, 401);
        assert.deepEqual(await snapshot(), before);
      });

      it(`${operationId} is refused to an API key that another process has revoked`, async () => {
        const userId = await mustInsertUser(sql, role);
        const own = await mustOwn(sql, userId);
        const { headers, keyId } = await mustInsertApiKey(sql, userId);
        await mustBeKnown(headers);
        await sql`delete from api_keys where id = ${keyId}`;
        // An operation for sessions only refuses every API key, before it asks the database.
        await mustBeRejected(operation, own, headers, [operation.sessionOnly === true ? 403 : 401]);
      });

      if (operation.forAdmins !== true) return;

      it(`${operationId} on the data of another user succeeds for an admin`, async () => {
        const own = await mustOwn(sql, await mustInsertUser(sql));
        const { headers } = await mustOpenSession(sql, await mustInsertUser(sql, 'admin'));
        const { status } = await send(method, request(own), headers);
        assert.ok(status < 300, String(status));
      });

      it(`${operationId} on the data of another user is refused to an admin whose role another process has taken away`, async () => {
        const own = await mustOwn(sql, await mustInsertUser(sql));
        const adminId = await mustInsertUser(sql, 'admin');
        const { headers } = await mustOpenSession(sql, adminId);
        await mustBeKnown(headers);
        await sql`update users set role = 'user' where id = ${adminId}`;
        await mustBeRejected(operation, own, headers, [403, 404]);
      });
    });
  }

  return {
    ...{ app: () => app, send, mustBeKnown, snapshot },

    async mustRejectLateBody(method, { path, headers: type = {} }, [first, second]) {
      const adminId = await mustInsertUser(sql, 'admin');
      const { headers } = await mustOpenSession(sql, adminId);
      const sending = request(`${app.api}${path}`, {
        method,
        headers: { ...headers, ...type, expect: '100-continue' },
      });
      // The server asks for the body only after it has admitted the caller.
      const admitted = new Promise<void>((resolve) => sending.once('continue', resolve));
      const answered = new Promise<number | undefined>((resolve, reject) => {
        sending.once('response', (response) => resolve(response.resume().statusCode));
        sending.once('error', reject);
      });
      sending.flushHeaders();
      await admitted;
      sending.write(first);
      await sql`update users set role = 'user' where id = ${adminId}`;
      const before = await snapshot();
      sending.end(second);
      const status = await answered;
      assert.ok(status === 403 || status === 404, String(status));
      assert.deepEqual(await snapshot(), before);
    },
  };
}
