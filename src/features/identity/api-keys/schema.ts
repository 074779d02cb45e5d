import * as z from 'zod';
import type { Scope } from '../../../auth/principal.ts';
import { id, text, timestamp } from '../../../http/body/fields.ts';

const name = text({ min: 1, max: 100 }).meta({
  description: 'The purpose of the key.',
  example: 'Nightly import',
});

const lifetime = z
  .int()
  .min(1, 'Use at least 1 day.')
  .max(365, 'Use at most 365 days.')
  .default(90)
  .meta({ description: 'After how many days the key expires. Every key expires.' });

/** The bodies of the routes. `allScopes` are the scopes that a key can have. */
export function apiKeySchemas(allScopes: readonly Scope[]) {
  const scope = z.enum(allScopes);
  const scopes = z
    .array(scope)
    .min(1, 'Name at least one scope.')
    .max(allScopes.length)
    .refine((names) => new Set(names).size === names.length, 'Name each scope once.')
    .meta({
      description: 'The permissions of the key.',
      example: allScopes.slice(0, 2),
      uniqueItems: true,
    });

  /** The body of a request to create a key. */
  const newApiKey = z
    .strictObject({ name, scopes, expires_in_days: lifetime })
    .meta({ id: 'NewApiKey', description: 'The API key to create.' });

  /** A key as lists show it, without the key itself. */
  const apiKey = z
    .object({
      id: id.meta({ description: 'The number of the key.' }),
      name: z
        .string()
        .meta({ description: 'The purpose of the key.', example: 'Nightly import', maxLength: 100 }),
      prefix: z.string().meta({
        description: 'The first characters of the key.',
        example: 'sak_7Kq2',
        minLength: 8,
        maxLength: 8,
      }),
      scopes: z.array(scope).meta({ description: 'The permissions of the key.', maxItems: allScopes.length }),
      created_at: timestamp.meta({ description: 'When the key was created.' }),
      expires_at: timestamp.meta({ description: 'When the key expires or expired.' }),
      last_used_at: timestamp
        .nullable()
        .meta({ description: 'When the key was last used, to within a minute; null if never.' }),
    })
    .meta({ id: 'ApiKey', description: 'An API key, without the key itself.' });

  /** The response to creating a key, the only one with the key itself. */
  const createdApiKey = apiKey
    .extend({
      key: z.string().meta({
        description:
          'The key itself. Store it now: it is shown only once, because the server keeps only its hash.',
        example: 'sak_7Kq2ThisOneIsNoRealKeyAndItsChecksumIsWrong0000000',
        maxLength: 54,
      }),
    })
    .meta({ id: 'CreatedApiKey', description: 'A new API key.' });

  const apiKeyList = z
    .object({
      items: z.array(apiKey).meta({ description: 'The keys, newest first.', maxItems: 1000 }),
    })
    .meta({ id: 'ApiKeyList', description: 'The API keys of a user.' });

  return { newApiKey, createdApiKey, apiKeyList };
}

export type NewApiKey = Readonly<z.output<ReturnType<typeof apiKeySchemas>['newApiKey']>>;
