import * as z from 'zod';
import { text, timestamp } from '../../../http/headers/fields.ts';

/** How a client gets its refresh token: in the body, or in a cookie that scripts cannot read. */
export const transports = ['body', 'cookie'] as const;
export type Transport = (typeof transports)[number];

const refreshToken = z.string().max(200, 'Use at most 200 characters.').meta({
  description: 'Good for one refresh.',
  format: 'password',
});

/**
 * The body of a login: JSON, or the password form of OAuth 2 (RFC 6749, section 4.3.2), which the Authorize button of
 * Swagger UI sends. Other parameters of that form, such as `scope` and `client_id`, are ignored, as section 3.2 requires.
 */
export const loginBody = z
  .object({
    grant_type: z.literal('password', 'Use "password", or leave it out.').optional(),
    username: text({ min: 1, max: 254 }).meta({
      description: 'The username or the e-mail address, whatever the case of its letters.',
      example: 'ada_lovelace',
    }),
    password: text({ min: 1, max: 512 }).meta({
      format: 'password',
      example: 'correct horse battery staple',
    }),
    transport: z.enum(transports).default('body').meta({
      description:
        'Where the refresh token goes: into the answer, or into a cookie that scripts of the page cannot read.',
    }),
  })
  .meta({ id: 'Login' });

/** The refresh token, unless it is in the cookie. Also accepted as the form of RFC 6749, section 6. */
export const refreshBody = z
  .object({
    grant_type: z.literal('refresh_token', 'Use "refresh_token", or leave it out.').optional(),
    refresh_token: refreshToken.optional(),
  })
  .optional()
  .meta({ id: 'Refresh' });

export const logoutBody = z
  .object({ refresh_token: refreshToken.optional() })
  .optional()
  .meta({ id: 'Logout' });

/** The response of RFC 6749, section 5.1. */
export const tokens = z
  .object({
    access_token: z.string().meta({ description: 'For `Authorization: Bearer`.', maxLength: 4096 }),
    token_type: z.literal('Bearer'),
    expires_in: z.int().min(1).meta({ description: 'How long the access token is good for, in seconds.' }),
    refresh_token: refreshToken
      .optional()
      .meta({ description: 'For the next refresh; not there if it is in the cookie.', maxLength: 200 }),
    scope: z.string().meta({ description: 'What the access token may be used for.', maxLength: 200 }),
  })
  .meta({ id: 'Tokens' });

export const session = z
  .object({
    id: z.uuid().meta({ description: 'For ending it.' }),
    current: z.boolean().meta({ description: 'Whether this request belongs to it.' }),
    transport: z.enum(transports).meta({ description: 'Where its refresh token is.' }),
    address: z.string().meta({ description: 'The address that it was signed in from.', maxLength: 64 }),
    user_agent: z.string().meta({ description: 'What the client calls itself.', maxLength: 256 }),
    created_at: timestamp.meta({ description: 'When it was signed in.' }),
    last_used_at: timestamp.meta({ description: 'When it was refreshed last.' }),
    expires_at: timestamp.meta({ description: 'When it ends if it is not refreshed.' }),
  })
  .meta({ id: 'Session' });

export const sessionList = z
  .object({ items: z.array(session).meta({ maxItems: 100 }) })
  .meta({ id: 'SessionList' });
