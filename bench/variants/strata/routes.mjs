/** The measured routes, declared as the features declare theirs. */

import * as z from 'zod';
import { AppError } from '../../../src/errors.ts';
import { text, timestamp } from '../../../src/http/body/fields.ts';
import { signedInCallerOf } from '../../../src/http/caller.ts';
import { idParameter } from '../../../src/http/parameters/parameters.ts';
import { reply } from '../../../src/http/reply.ts';
import { route } from '../../../src/http/route.ts';
import { databaseUrl } from '../environment.mjs';
import { createPerson, emailRule, makePerson, noteRule, usernameRule } from '../people.mjs';

const params = z.object({ id: idParameter });
const username = text(usernameRule).regex(usernameRule.pattern);
const newPerson = z.strictObject({ username, email: z.email().max(emailRule.max) });
const hello = z.object({ message: z.string() });
const person = z.object({
  id: z.int(),
  username: text(usernameRule),
  email: z.string().max(emailRule.max),
  created_at: timestamp,
});
const tags = ['meta'];

/** `databaseOf` gives the database when the first request comes; without BENCH_DATABASE_URL nothing asks for it. */
export function routes(databaseOf) {
  return [
    route({
      method: 'GET',
      path: '/hello',
      operationId: 'sayHello',
      summary: 'Say hello',
      tags,
      auth: 'none',
      responses: { 200: { description: 'The greeting.', schema: hello } },
      handler: () => ({ message: 'Hello, world' }),
    }),
    route({
      method: 'GET',
      path: '/people/:id',
      operationId: 'getPerson',
      summary: 'Read a person',
      tags,
      auth: 'none',
      params,
      responses: { 200: { description: 'The person.', schema: person } },
      handler: ({ params }) => makePerson(params.id),
    }),
    route({
      method: 'POST',
      path: '/people',
      operationId: 'createPerson',
      summary: 'Create a person',
      tags,
      auth: 'none',
      body: newPerson,
      responses: { 201: { description: 'The new person.', schema: person } },
      handler: ({ body }) => reply(201, createPerson(body)),
    }),
    route({
      method: 'GET',
      path: '/me',
      operationId: 'getMe',
      summary: 'Read who asks',
      tags,
      auth: 'user',
      responses: { 200: { description: 'The person.', schema: person } },
      handler: ({ ctx }) => makePerson(Number(signedInCallerOf(ctx).userId)),
    }),
    route({
      method: 'POST',
      path: '/notes',
      operationId: 'createNote',
      summary: 'Take a small body',
      tags,
      auth: 'none',
      body: newPerson,
      maxBody: noteRule.maxBytes,
      responses: { 201: { description: 'The person.', schema: person } },
      handler: ({ body }) => reply(201, createPerson(body)),
    }),
    route({
      method: 'GET',
      path: '/admin',
      operationId: 'getAdmin',
      summary: 'Read as an administrator',
      tags,
      auth: 'user',
      roles: ['admin'],
      responses: { 200: { description: 'The person.', schema: person } },
      handler: ({ ctx }) => makePerson(Number(signedInCallerOf(ctx).userId)),
    }),
    ...(databaseUrl === undefined ? [] : rowRoutes(databaseOf)),
  ];
}

function rowRoutes(databaseOf) {
  return [
    route({
      method: 'GET',
      path: '/rows/:id',
      operationId: 'getRow',
      summary: 'Read a row',
      tags,
      auth: 'none',
      params,
      responses: { 200: { description: 'The person.', schema: person } },
      problems: ['not_found'],
      async handler({ params }) {
        const { sql } = databaseOf();
        const [row] = await sql`select id, username, email, created_at from people where id = ${params.id}`;
        if (row === undefined) throw new AppError('not_found', 'There is no such person.');
        return row;
      },
    }),
    route({
      method: 'GET',
      path: '/rows',
      operationId: 'listRows',
      summary: 'List rows',
      tags,
      auth: 'none',
      responses: { 200: { description: 'The first twenty.', schema: z.object({ items: z.array(person) }) } },
      async handler() {
        const { sql } = databaseOf();
        return { items: await sql`select id, username, email, created_at from people order by id limit 20` };
      },
    }),
  ];
}
