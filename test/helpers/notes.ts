/**
 * Notes: the resource for tests of the core that need more than the routes of the core: public pages, an owner, a scope,
 * versions with If-Match, and Idempotency-Key. Only tests have it, so they do not depend on an example feature that a
 * project may delete.
 */

import type { TestContext } from 'node:test';
import * as z from 'zod';
import { mayActFor, type Principal } from '../../src/auth/principal.ts';
import type { Database } from '../../src/db/database.ts';
import { type Keyset, keysetCondition, keysetOrder, keysetPage } from '../../src/db/keyset.ts';
import { onlyRow, type Sql } from '../../src/db/sql.ts';
import { AppError } from '../../src/errors.ts';
import { id, patchOf, text } from '../../src/http/body/fields.ts';
import { callerOf } from '../../src/http/caller.ts';
import { versionTag } from '../../src/http/headers/conditional.ts';
import { pageBody, pageLinks, pageOf, pageQuery, positionOf } from '../../src/http/parameters/pagination.ts';
import { idParameter, versionCondition, writeConditions } from '../../src/http/parameters/parameters.ts';
import { created, noContent, ok } from '../../src/http/reply.ts';
import { type Route, route } from '../../src/http/route.ts';
import { createApiClient } from './api-client.ts';
import type { TestApi } from './test-api.ts';
import { mustStartApp } from './test-app.ts';
import { mustConnect, mustCreateDatabase } from './test-database.ts';

export const notes = '/api/v1/notes';

interface Note {
  readonly id: number;
  readonly owner_id: number;
  readonly title: string;
  readonly version: number;
}

const title = text({ min: 1, max: 1_000 }).meta({ description: 'The text of the note.', example: 'A note' });
const note = z
  .object({
    id: id.meta({ description: 'The number of the note.' }),
    owner_id: id.meta({ description: 'The number of the user who owns it.' }),
    title: z.string().meta({ description: 'The text of the note.', example: 'A note', maxLength: 1_000 }),
  })
  .meta({ id: 'Note' });
const newNote = z.strictObject({ title }).meta({ id: 'NewNote' });
const notePatch = patchOf({ title }).meta({ id: 'NotePatch' });
const params = z.object({ id: idParameter.describe('The number of the note.') });
const headers = { ETag: 'The version of the note.' };

/** Starts the whole application with notes, over a database of its own, for the length of a test. */
export async function mustServeNotes(
  t: Pick<TestContext, 'after'>,
  env: Readonly<Record<string, string>> = {},
): Promise<TestApi> {
  const databaseUrl = await mustCreateDatabase(t);
  await createNotesTable(mustConnect(t, { url: databaseUrl, poolSize: 1 }).sql);
  const app = await mustStartApp(t, { databaseUrl, env, extraRoutes: notesRoutes(() => app.database) });
  return { ...createApiClient(app.url), app };
}

export async function createNotesTable(sql: Sql): Promise<void> {
  await sql`
    create table notes (
      id bigint generated always as identity primary key,
      owner_id bigint not null references users (id) on delete cascade,
      title text not null,
      version integer not null default 1
    )`;
}

/** `databaseOf` returns the database when the first request arrives, so the routes can be made before it is open. */
export function notesRoutes(databaseOf: () => Database): Route[] {
  const shown = (row: Note) => ok(row, { etag: versionTag(row.id, row.version) });
  const written = (row: Note) =>
    created(row, `${notes}/${row.id}`, { etag: versionTag(row.id, row.version) });
  return [
    route({
      method: 'POST',
      path: '/notes',
      operationId: 'createNote',
      summary: 'Write a note',
      tags: ['tasks'],
      auth: 'any',
      scopes: ['tasks:write'],
      idempotent: true,
      body: newNote,
      example: { title: 'A note' },
      responses: {
        201: {
          description: 'The new note.',
          schema: note,
          headers: { Location: 'Where the note is.', ...headers },
        },
      },
      problems: ['database_unavailable'],
      async handler({ body, ctx, recordReply }) {
        const { userId } = callerOf(ctx);
        const row = await databaseOf().transaction(async (tx) => {
          const inserted = onlyRow(
            await tx<Note[]>`
              insert into notes (owner_id, title) values (${userId}, ${body.title}) returning *`,
          );
          await recordReply(written)?.(tx, inserted);
          return inserted;
        });
        return written(row);
      },
    }),
    route({
      method: 'GET',
      path: '/notes',
      operationId: 'listNotes',
      summary: 'List notes',
      tags: ['tasks'],
      auth: 'none',
      query: pageQuery,
      responses: {
        200: {
          description: 'A page of notes.',
          schema: pageOf(note).meta({ id: 'NotePage' }),
          headers: { Link: 'The neighbouring pages (RFC 8288).' },
        },
      },
      problems: ['database_unavailable'],
      async handler({ query }) {
        const { sql } = databaseOf();
        const keyset: Keyset = { limit: query.limit, from: positionOf(query) };
        const page = keysetPage(
          await sql<Note[]>`
            select * from notes where ${keysetCondition(sql, 'id', keyset)} ${keysetOrder(sql, 'id', keyset)}`,
          keyset,
        );
        return ok(pageBody(page), pageLinks(notes, query, page));
      },
    }),
    route({
      method: 'GET',
      path: '/notes/:id',
      operationId: 'getNote',
      summary: 'Read a note',
      tags: ['tasks'],
      auth: 'none',
      params,
      responses: { 200: { description: 'The note.', schema: note, headers } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params }) {
        const [row] = await databaseOf().sql<Note[]>`select * from notes where id = ${params.id}`;
        return shown(found(row));
      },
    }),
    route({
      method: 'PATCH',
      path: '/notes/:id',
      operationId: 'updateNote',
      summary: 'Change a note',
      tags: ['tasks'],
      auth: 'any',
      scopes: ['tasks:write'],
      idempotent: true,
      params,
      headers: writeConditions,
      body: notePatch,
      accepts: ['application/json', 'application/merge-patch+json'],
      example: { title: 'Another note' },
      responses: { 200: { description: 'The note as it is now.', schema: note, headers } },
      problems: ['forbidden', 'not_found', 'database_unavailable'],
      async handler({ params, headers, body, ctx, recordReply }) {
        const row = await databaseOf().transaction(async (tx) => {
          await mustLock(tx, callerOf(ctx), params.id, versionCondition(headers, params.id));
          const updated = onlyRow(
            await tx<Note[]>`
              update notes set title = coalesce(${body.title ?? null}, title), version = version + 1
              where id = ${params.id} returning *`,
          );
          await recordReply(shown)?.(tx, updated);
          return updated;
        });
        return shown(row);
      },
    }),
    route({
      method: 'DELETE',
      path: '/notes/:id',
      operationId: 'deleteNote',
      summary: 'Delete a note',
      tags: ['tasks'],
      auth: 'any',
      scopes: ['tasks:write'],
      params,
      headers: writeConditions,
      responses: { 204: { description: 'The note is gone.' } },
      problems: ['forbidden', 'not_found', 'database_unavailable'],
      async handler({ params, headers, ctx }) {
        await databaseOf().transaction(async (tx) => {
          await mustLock(tx, callerOf(ctx), params.id, versionCondition(headers, params.id));
          await tx`delete from notes where id = ${params.id}`;
        });
        return noContent();
      },
    }),
  ];
}

/** Locks a note that the caller may change, at a version that the caller accepts. Throws an AppError otherwise. */
async function mustLock(
  tx: Sql,
  caller: Principal,
  noteId: number,
  accepts: (version: number) => boolean,
): Promise<void> {
  const row = found((await tx<Note[]>`select * from notes where id = ${noteId} for update`)[0]);
  if (!mayActFor(caller, row.owner_id)) throw new AppError('forbidden', 'The note belongs to another user.');
  if (!accepts(row.version)) throw new AppError('precondition_failed', 'The note has changed.');
}

function found(row: Note | undefined): Note {
  if (row === undefined) throw new AppError('not_found', 'There is no such note.');
  return row;
}
