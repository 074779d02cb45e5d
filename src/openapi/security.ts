/**
 * How a client says who it is, as the document tells it: once for the whole service (`components.securitySchemes`), and
 * for each operation which of the ways it takes.
 *
 *     password   the access token, fetched with a user's password: what the Authorize button of the docs page does
 *     bearer     the same token, for who has one already
 *     apiKey     an API key, in a header of its own
 *
 * An operation lists the ways as alternatives. The empty requirement `{}` says that nobody has to sign in; beside it
 * stand the ways that such an operation makes use of all the same. Only OAuth 2
 * can name scopes there; that an API key needs them too, the description says.
 */

import type { RouteDeclaration } from '../http/route-declaration.ts';
import { isOpen } from '../http/route-policy.ts';

export interface SecurityOptions {
  /** Where a username and a password are traded for an access token, in the form of OAuth 2. */
  readonly tokenUrl: string;
  /** Where a refresh token is traded for the next access token. */
  readonly refreshUrl: string;
  /** The request header that takes API keys. */
  readonly apiKeyHeader: string;
  /** Every scope, and what it allows. */
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

/** One way to be let in: all of its schemes together, each with the scopes that it must have. */
export type SecurityRequirement = Readonly<Partial<Record<Scheme, readonly string[]>>>;

/** What stands under `components.securitySchemes`. */
export function describeSecuritySchemes(options: SecurityOptions): Record<Scheme, SecurityScheme> {
  const { tokenUrl, refreshUrl, apiKeyHeader, scopes } = options;
  return {
    password: {
      type: 'oauth2',
      description:
        'Sign in with the username and the password; leave the client id and the client secret empty. It gives an ' +
        'access token, a JWT that is checked as RFC8725 says.',
      flows: { password: { tokenUrl, refreshUrl, scopes } },
    },
    bearer: {
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description: 'An access token that you have already: a JWT, checked as RFC8725 says.',
    },
    apiKey: {
      type: 'apiKey',
      in: 'header',
      name: apiKeyHeader,
      description: 'An API key that a user has made for a program.',
    },
  };
}

/** The ways in to a route, any one of which is enough. */
export function describeSecurity(route: RouteDeclaration): readonly SecurityRequirement[] {
  const { auth, scopes = [], roles } = route;
  const session: SecurityRequirement[] = [{ password: scopes }, { bearer: [] }];
  if (isOpen(route)) return route.readsAccessToken ? [{}, ...session] : [{}];
  // An API key never acts in another role than that of a user.
  const apiKey: SecurityRequirement[] = roles === undefined || roles.includes('user') ? [{ apiKey: [] }] : [];
  if (auth === 'user') return session;
  return auth === 'apiKey' ? apiKey : [...session, ...apiKey];
}

/** What the description of an operation says of the caller, where the requirements have no words for it. */
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
