import { z } from 'zod';
import { versionTag } from '../../http/conditional.ts';
import { pageBody, pageLinks, pageOf, pageQuery, positionOf } from '../../http/pagination.ts';
import { idParameter, versionCondition, writeConditions } from '../../http/parameters.ts';
import { created, noContent, ok } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { newUser, user, userPatch } from './schema.ts';
import type { Users } from './users.ts';

export interface UsersRoutesOptions {
  readonly users: Users;
  /** What stands before the paths of these routes, such as `/api/v1`. */
  readonly prefix: string;
}

const params = z.object({ id: idParameter.describe('The number of the user.') });
const userPage = pageOf(user).meta({ id: 'UserPage' });
const etag = 'The version of the user, for `If-Match` and `If-None-Match`.';

/** Registering is for everybody; the rest is for users who have signed in. */
export function usersRoutes({ users, prefix }: UsersRoutesOptions): Route[] {
  return [
    route({
      method: 'POST',
      path: '/users',
      operationId: 'registerUser',
      summary: 'Register a user',
      description: 'The username and the e-mail address must be free; 409 names those that are not.',
      tags: ['users'],
      auth: 'none',
      body: newUser,
      example: {
        username: 'ada_lovelace',
        email: 'ada@example.org',
        password: 'correct horse battery staple',
      },
      responses: {
        201: {
          description: 'The new user.',
          schema: user,
          headers: { Location: 'Where the user is.', ETag: etag },
        },
      },
      problems: ['conflict', 'not_ready', 'database_unavailable'],
      async handler({ body }) {
        const registered = await users.register(body);
        return created(registered, `${prefix}/users/${registered.id}`, {
          etag: versionTag(registered.version),
        });
      },
    }),
    route({
      method: 'GET',
      path: '/users',
      operationId: 'listUsers',
      summary: 'List users',
      description:
        'The newest first, a page at a time. The `Link` header has the next and the previous page.',
      tags: ['users'],
      auth: 'user',
      query: pageQuery,
      responses: {
        200: {
          description: 'A page of users.',
          schema: userPage,
          headers: { Link: 'The neighbouring pages (RFC 8288).' },
        },
      },
      problems: ['database_unavailable'],
      async handler({ query }) {
        const page = await users.list({ limit: query.limit, from: positionOf(query) });
        return ok(pageBody(page), pageLinks(`${prefix}/users`, query, page));
      },
    }),
    route({
      method: 'GET',
      path: '/users/:id',
      operationId: 'getUser',
      summary: 'Read a user',
      tags: ['users'],
      auth: 'user',
      params,
      responses: { 200: { description: 'The user.', schema: user, headers: { ETag: etag } } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params }) {
        const found = await users.get(params.id);
        return ok(found, { etag: versionTag(found.version) });
      },
    }),
    route({
      method: 'PATCH',
      path: '/users/:id',
      operationId: 'updateUser',
      summary: 'Change a user',
      description:
        'Changes the fields that are sent (RFC 7396) and leaves the others. With `If-Match`, only if nobody else has ' +
        'changed the user since it was read.',
      tags: ['users'],
      auth: 'user',
      params,
      headers: writeConditions,
      body: userPatch,
      accepts: ['application/json', 'application/merge-patch+json'],
      example: { email: 'ada.lovelace@example.org' },
      responses: { 200: { description: 'The user as it is now.', schema: user, headers: { ETag: etag } } },
      problems: ['not_found', 'conflict', 'precondition_failed', 'database_unavailable'],
      async handler({ params, headers, body }) {
        const updated = await users.update(params.id, body, versionCondition(headers));
        return ok(updated, { etag: versionTag(updated.version) });
      },
    }),
    route({
      method: 'DELETE',
      path: '/users/:id',
      operationId: 'deleteUser',
      summary: 'Delete a user',
      description: 'Deletes the user and all posts of the user.',
      tags: ['users'],
      auth: 'user',
      params,
      headers: writeConditions,
      responses: { 204: { description: 'The user is gone.' } },
      problems: ['not_found', 'precondition_failed', 'database_unavailable'],
      async handler({ params, headers }) {
        await users.remove(params.id, versionCondition(headers));
        return noContent();
      },
    }),
  ];
}
