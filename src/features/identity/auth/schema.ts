import * as z from 'zod';
import { text, timestamp } from '../../../http/body/fields.ts';

/** How a client gets its refresh token: in the body, or in a cookie that scripts cannot read. */
export const transports = ['body', 'cookie'] as const;
export type Transport = (typeof transports)[number];

const refreshToken = z.string().max(200, 'Use at most 200 characters.').meta({
  description: 'Valid for one refresh.',
  format: 'password',
});

/**
 * The body of a login: JSON, or the password form of OAuth 2 (RFC 6749, section 4.3.2), which the Authorize button of
 * Swagger UI sends. Other parameters of that form, such as `scope` and `client_id`, are ignored, as section 3.2 requires.
 */
export const loginBody = z
  .object({
    grant_type: z.literal('password', 'Use "password", or omit it.').optional(),
    username: text({ min: 1, max: 254 }).meta({
      description: 'The username or the e-mail address, in any case.',
      example: 'ada_lovelace',
    }),
    password: text({ min: 1, max: 512 }).meta({
      format: 'password',
      example: 'correct horse battery staple',
    }),
    transport: z.enum(transports).default('body').meta({
      description:
        'Where the refresh token is returned: in the response body, or in a cookie that scripts cannot read.',
    }),
  })
  .meta({ id: 'Login' });

/** The refresh token, unless it is in the cookie. Also accepted as the form of RFC 6749, section 6. */
export const refreshBody = z
  .object({
    grant_type: z.literal('refresh_token', 'Use "refresh_token", or omit it.').optional(),
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
    access_token: z.string().meta({ description: 'The token for `Authorization: Bearer`.', maxLength: 4096 }),
    token_type: z.literal('Bearer'),
    expires_in: z.int().min(1).meta({ description: 'Lifetime of the access token, in seconds.' }),
    refresh_token: refreshToken.optional().meta({
      description: 'The token for the next refresh; omitted if it is in the cookie.',
      maxLength: 200,
    }),
    scope: z.string().meta({ description: 'The scopes of the access token.', maxLength: 200 }),
  })
  .meta({ id: 'Tokens' });

export const session = z
  .object({
    id: z.uuid().meta({ description: 'The id, to end the session.' }),
    current: z.boolean().meta({ description: 'Whether this request belongs to the session.' }),
    transport: z.enum(transports).meta({ description: 'Where the refresh token is.' }),
    address: z.string().meta({ description: 'The address of the client at login.', maxLength: 64 }),
    user_agent: z.string().meta({ description: 'The User-Agent of the client at login.', maxLength: 256 }),
    created_at: timestamp.meta({ description: 'When the user signed in.' }),
    last_used_at: timestamp.meta({ description: 'When the session was last refreshed.' }),
    expires_at: timestamp.meta({ description: 'When the session expires if it is not refreshed.' }),
  })
  .meta({ id: 'Session' });

export const sessionList = z
  .object({ items: z.array(session).meta({ maxItems: 100 }) })
  .meta({ id: 'SessionList' });
