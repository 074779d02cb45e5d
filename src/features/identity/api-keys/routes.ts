import * as z from 'zod';
import type { Scope } from '../../../auth/principal.ts';
import { signedInCallerOf } from '../../../http/caller.ts';
import { idParameter } from '../../../http/parameters/parameters.ts';
import { created, noContent, ok } from '../../../http/reply.ts';
import { type Route, route } from '../../../http/route.ts';
import type { ApiKeys } from './api-keys.ts';
import { apiKeySchemas } from './schema.ts';

export interface ApiKeysRoutesOptions {
  readonly apiKeys: ApiKeys;
  /** The scopes that a key can have. */
  readonly scopes: readonly Scope[];
  /** The prefix of the paths of these routes, such as `/api/v1`. */
  readonly prefix: string;
}

const params = z.object({ id: idParameter.describe('The number of the key.') });

/** Only for signed-in users: a program with a key cannot manage keys. */
export function apiKeysRoutes({ apiKeys, scopes, prefix }: ApiKeysRoutesOptions): Route[] {
  const { newApiKey, createdApiKey, apiKeyList } = apiKeySchemas(scopes);
  return [
    route({
      method: 'POST',
      path: '/auth/api-keys',
      operationId: 'createApiKey',
      summary: 'Create an API key',
      description:
        'Only this response contains the key. A program sends it instead of an access token and may do what the scopes of ' +
        'the key allow, as a plain user, whatever the role of its owner. A user can have at most 20 valid keys.',
      tags: ['auth'],
      auth: 'user',
      body: newApiKey,
      example: { name: 'Nightly import', scopes: scopes.slice(0, 2), expires_in_days: 30 },
      responses: {
        201: {
          description: 'The new key.',
          schema: createdApiKey,
          headers: { Location: 'The URL of the key, to revoke it.' },
        },
      },
      problems: ['not_found', 'conflict', 'database_unavailable'],
      async handler({ body, ctx }) {
        const made = await apiKeys.create(signedInCallerOf(ctx), body);
        return created(made, `${prefix}/auth/api-keys/${made.id}`);
      },
    }),
    route({
      method: 'GET',
      path: '/auth/api-keys',
      operationId: 'listApiKeys',
      summary: 'List API keys',
      description:
        'Lists the keys of the caller, newest first, including keys that expired in the last 30 days. Changing the password ' +
        'does not revoke keys: revoke those that you do not know. Resetting it with a mailed token revokes all.',
      tags: ['auth'],
      auth: 'user',
      responses: { 200: { description: 'The keys.', schema: apiKeyList } },
      problems: ['database_unavailable'],
      async handler({ ctx }) {
        return ok({ items: await apiKeys.list(signedInCallerOf(ctx).userId) });
      },
    }),
    route({
      method: 'DELETE',
      path: '/auth/api-keys/:id',
      operationId: 'revokeApiKey',
      summary: 'Revoke an API key',
      tags: ['auth'],
      auth: 'user',
      params,
      responses: { 204: { description: 'The key was revoked.' } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params, ctx }) {
        await apiKeys.revoke(signedInCallerOf(ctx).userId, params.id);
        return noContent();
      },
    }),
  ];
}
