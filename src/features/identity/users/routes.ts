import * as z from 'zod';
import { callerOf } from '../../../http/caller.ts';
import { keysetOf, pageHeaders, pageOf, pageQuery, pageReply } from '../../../http/parameters/pagination.ts';
import { idParameter, versionCondition, writeConditions } from '../../../http/parameters/parameters.ts';
import { createdHeaders, rowReplies, shownHeaders } from '../../../http/parameters/versioned-row.ts';
import { accepted, noContent } from '../../../http/reply.ts';
import { type Route, route } from '../../../http/route.ts';
import type { RouteLimit } from '../../../http/route-declaration.ts';
import type { Job } from '../../../jobs/job.ts';
import { startedTask } from '../../tasks/tasks.ts';
import { newUser, user, userPatch } from './schema.ts';
import type { User, Users } from './users.ts';
import type { Welcome } from './welcome.ts';

export interface UsersRoutesOptions {
  readonly users: Users;
  readonly welcome: Welcome;
  /** Maximum registrations per address in any hour. */
  readonly registrationsPerHour: number;
  /** The prefix of the paths of these routes, such as `/api/v1`. */
  readonly prefix: string;
}

const params = z.object({ id: idParameter.describe('The number of the user.') });
const userPage = pageOf(user).meta({ id: 'UserPage' });
/**
 * Anyone can register with any address, so few mails can be requested: by one user, and from one client address, because a
 * user can be deleted and registered again.
 */
const welcomeLimits: readonly RouteLimit[] = [
  { name: 'welcome-user', by: 'user', quota: 10, windowMs: 3_600_000 },
  { name: 'welcome-address', by: 'address', quota: 10, windowMs: 3_600_000 },
];

/** Registration is public; the other routes are for the user and for admins. */
export function usersRoutes({ users, welcome, registrationsPerHour, prefix }: UsersRoutesOptions): Route[] {
  const path = `${prefix}/users`;
  const { shown, created } = rowReplies<User>(path);
  const started = ({ id }: Job) => accepted({ task_id: id }, `${prefix}/tasks/${id}`);
  return [
    route({
      method: 'POST',
      path: '/users',
      operationId: 'registerUser',
      summary: 'Register a user',
      description: 'The username and the e-mail address must not be taken; 409 names those that are.',
      tags: ['users'],
      auth: 'none',
      costs: ['password-hash', 'mail', 'write'],
      limits: [{ name: 'registration', by: 'address', quota: registrationsPerHour, windowMs: 3_600_000 }],
      idempotent: true,
      body: newUser,
      example: {
        username: 'ada_lovelace',
        email: 'ada@example.org',
        password: 'correct horse battery staple',
      },
      responses: {
        201: { description: 'The new user.', schema: user, headers: createdHeaders },
      },
      problems: ['conflict', 'not_ready', 'database_unavailable'],
      async handler({ body, ctx, recordReply }) {
        const registration = { newUser: body, address: ctx.clientAddress };
        return created(await users.register(registration, recordReply(created)));
      },
    }),
    route({
      method: 'GET',
      path: '/users',
      operationId: 'listUsers',
      summary: 'List users',
      description:
        'For admins. Lists users page by page, newest first. The `Link` header has the next and the previous page.',
      tags: ['users'],
      auth: 'user',
      roles: ['admin'],
      query: pageQuery,
      responses: {
        200: { description: 'A page of users.', schema: userPage, headers: pageHeaders },
      },
      problems: ['database_unavailable'],
      async handler({ query }) {
        return pageReply(path, query, await users.list(keysetOf(query)));
      },
    }),
    route({
      method: 'GET',
      path: '/users/me',
      operationId: 'getCurrentUser',
      summary: 'Read the calling user',
      tags: ['users'],
      auth: 'any',
      scopes: ['users:read'],
      responses: { 200: { description: 'The user.', schema: user, headers: shownHeaders } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ ctx }) {
        const caller = callerOf(ctx);
        return shown(await users.get(caller, caller.userId));
      },
    }),
    route({
      method: 'GET',
      path: '/users/:id',
      operationId: 'getUser',
      summary: 'Read a user',
      description: 'Users can read only themselves; admins can read any user.',
      tags: ['users'],
      auth: 'any',
      scopes: ['users:read'],
      params,
      responses: { 200: { description: 'The user.', schema: user, headers: shownHeaders } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params, ctx }) {
        return shown(await users.get(callerOf(ctx), params.id));
      },
    }),
    route({
      method: 'PATCH',
      path: '/users/:id',
      operationId: 'updateUser',
      summary: 'Change a user',
      description:
        'Changes only the fields that are sent (RFC 7396). With `If-Match`, only if the user has not been changed since it ' +
        'was read. A new e-mail address needs `current_password`, cannot be set with an API key, and must be verified ' +
        'again. Admins can change any user, without the password.',
      tags: ['users'],
      auth: 'any',
      scopes: ['users:write'],
      idempotent: true,
      params,
      headers: writeConditions,
      body: userPatch,
      accepts: ['application/json', 'application/merge-patch+json'],
      example: { email: 'ada.lovelace@example.org', current_password: 'correct horse battery staple' },
      responses: { 200: { description: 'The changed user.', schema: user, headers: shownHeaders } },
      problems: ['forbidden', 'not_found', 'conflict', 'rate_limited', 'not_ready', 'database_unavailable'],
      async handler({ params, headers, body, ctx, recordReply }) {
        const change = {
          caller: callerOf(ctx),
          address: ctx.clientAddress,
          id: params.id,
          patch: body,
          condition: versionCondition(headers, params.id),
        };
        return shown(await users.update(change, recordReply(shown)));
      },
    }),
    route({
      method: 'DELETE',
      path: '/users/:id',
      operationId: 'deleteUser',
      summary: 'Delete a user',
      description:
        'Deletes the user and everything that belongs to the user, such as sessions and API keys. An admin deletes any.',
      tags: ['users'],
      auth: 'user',
      params,
      headers: writeConditions,
      responses: { 204: { description: 'The user was deleted.' } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params, headers, ctx }) {
        await users.remove(callerOf(ctx), params.id, versionCondition(headers, params.id));
        return noContent();
      },
    }),
    route({
      method: 'POST',
      path: '/users/:id/welcome',
      operationId: 'welcomeUser',
      summary: 'Welcome a user by mail',
      description:
        'Starts the task `send_email`, which the user and admins can read. Until it has finished, further requests return ' +
        'the same task. For the user and for admins.',
      tags: ['users'],
      auth: 'any',
      scopes: ['tasks:write'],
      limits: welcomeLimits,
      idempotent: true,
      params,
      responses: {
        202: {
          description: 'The mail will be sent.',
          schema: startedTask,
          headers: { Location: 'The URL of the task.' },
        },
      },
      problems: ['mail_disabled', 'database_unavailable'],
      async handler({ params, ctx, recordReply }) {
        return started(await welcome(callerOf(ctx), params.id, recordReply(started)));
      },
    }),
  ];
}
