/**
 * Describes the authentication of clients: the schemes of the service (`components.securitySchemes`), and the schemes that each
 * operation accepts.
 *
 *     password   an access token, obtained with the password of a user; the Authorize button of the docs page uses it
 *     bearer     an access token that the client already has
 *     apiKey     an API key in its own header
 *
 * The requirements of an operation are alternatives. The empty requirement `{}` means that authentication is optional. Only
 * OAuth 2 can name scopes there, so the description of an operation names the scopes that an API key needs.
 */

import type { RouteDeclaration } from '../http/route-declaration.ts';
import { isOpen } from '../http/route-policy.ts';

export interface SecurityOptions {
  /** The endpoint that issues access tokens for a username and password (OAuth 2). */
  readonly tokenUrl: string;
  /** The endpoint that issues access tokens for a refresh token. */
  readonly refreshUrl: string;
  /** The request header for API keys. */
  readonly apiKeyHeader: string;
  /** All scopes with their descriptions. */
  readonly scopes: Readonly<Record<string, string>>;
}

export type SecurityScheme =
  | {
      readonly type: 'http';
      readonly scheme: 'bearer';
      readonly bearerFormat: string;
      readonly description: string;
    }
  | {
      readonly type: 'oauth2';
      readonly flows: {
        readonly password: {
          readonly tokenUrl: string;
          readonly refreshUrl: string;
          readonly scopes: Readonly<Record<string, string>>;
        };
      };
      readonly description: string;
    }
  | {
      readonly type: 'apiKey';
      readonly in: 'header';
      readonly name: string;
      readonly description: string;
    };

type Scheme = 'password' | 'bearer' | 'apiKey';

/** One alternative: all of its schemes are required, each with its scopes. */
export type SecurityRequirement = Readonly<Partial<Record<Scheme, readonly string[]>>>;

/** Returns the content of `components.securitySchemes`. */
export function describeSecuritySchemes(options: SecurityOptions): Record<Scheme, SecurityScheme> {
  const { tokenUrl, refreshUrl, apiKeyHeader, scopes } = options;
  return {
    password: {
      type: 'oauth2',
      description:
        'Sign in with the username and the password; leave the client id and the client secret empty. The result is an ' +
        'access token: a JWT, verified according to RFC8725.',
      flows: { password: { tokenUrl, refreshUrl, scopes } },
    },
    bearer: {
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description: 'An access token that you already have: a JWT, verified according to RFC8725.',
    },
    apiKey: {
      type: 'apiKey',
      in: 'header',
      name: apiKeyHeader,
      description: 'An API key that a user has created for a program.',
    },
  };
}

/** Returns the alternatives of a route. */
export function describeSecurity(route: RouteDeclaration): readonly SecurityRequirement[] {
  const { auth, scopes = [], roles } = route;
  const session: SecurityRequirement[] = [{ password: scopes }, { bearer: [] }];
  if (isOpen(route)) return route.readsAccessToken ? [{}, ...session] : [{}];
  // An API key always has the role `user`.
  const apiKey: SecurityRequirement[] = roles === undefined || roles.includes('user') ? [{ apiKey: [] }] : [];
  if (auth === 'user') return session;
  return auth === 'apiKey' ? apiKey : [...session, ...apiKey];
}

/** Returns sentences about roles and scopes, which the requirements cannot express. */
export function describeCaller({ auth, roles, scopes = [] }: RouteDeclaration): string {
  const sentences: string[] = [];
  if (roles !== undefined) sentences.push(`Only for the role ${quoted(roles).join(' or ')}.`);
  if (auth !== 'user' && scopes.length > 0)
    sentences.push(`An API key needs the scope ${quoted(scopes).join(' and ')}.`);
  return sentences.join(' ');
}

function quoted(names: readonly string[]): string[] {
  return names.map((name) => `\`${name}\``);
}
