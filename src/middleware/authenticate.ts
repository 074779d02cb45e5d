/**
 * Finds out who asks, from the credentials that the request shows: an access token in `Authorization` (RFC 6750,
 * section 2.1), or an API key in the header that the settings name. `ctx.principal` is who it is.
 *
 *     no credentials             goes on, with nobody as the principal
 *     good ones                  goes on
 *     bad ones                   401, also where none are needed: who shows a credential wants to be known by it
 *     two of them                400: which one is meant is not for the server to guess
 *     no answer of the database  503, never 401: a client must not throw away a token that is good
 *
 * It does not decide what somebody may do; `authorise` does. Two kinds of routes are left out: those that take a
 * credential of their own (`auth: 'own'`), and open probes, since what the rate limit does not count must not become a
 * way to try credentials, or to make the database work.
 */

import type { IncomingMessage } from 'node:http';
import { type Authenticator, type Credential, RefusedCredential } from '../auth/authenticator.ts';
import { AppError } from '../errors.ts';
import { after } from '../http/compose.ts';
import type { Context, Middleware } from '../http/context.ts';
import { bearerChallenge, bearerToken } from '../http/headers/bearer.ts';
import { countFields } from '../http/headers/raw-fields.ts';
import type { Logger } from '../observability/logger.ts';

export interface AuthenticateOptions {
  readonly log: Logger;
  readonly authenticator: Pick<Authenticator, 'identify' | 'identifyNow'>;
  /** What the credentials are for, in `WWW-Authenticate`. */
  readonly realm: string;
  /** The name of the header that has an API key. */
  readonly apiKeyHeader: string;
}

const layer = 'authenticate';

export function authenticate({ log, authenticator, realm, apiKeyHeader }: AuthenticateOptions): Middleware {
  const keyField = apiKeyHeader.toLowerCase();
  const plainChallenge = bearerChallenge(realm);

  function readCredential(ctx: Context): Credential | undefined {
    const { request } = ctx;
    const authorization = request.headers.authorization;
    const key = request.headers[keyField];
    if (authorization === undefined && key === undefined) return undefined;
    assertOneCredential(request);
    if (typeof key === 'string') return { kind: 'apiKey', key };
    const token = bearerToken(authorization);
    if (token === undefined) {
      const detail = `Send an access token as "Authorization: Bearer <token>", or an API key as "${apiKeyHeader}".`;
      throw unauthenticated(ctx, 'unsupported_scheme', detail, plainChallenge);
    }
    return { kind: 'bearer', token };
  }

  /** Node joins repeated fields or drops all but the first; either would hide that there were several. */
  function assertOneCredential({ rawHeaders }: IncomingMessage): void {
    if (countFields(rawHeaders, 'authorization') + countFields(rawHeaders, keyField) <= 1) return;
    throw new AppError(
      'bad_request',
      `The request has more than one credential: send either Authorization or ${apiKeyHeader}, once.`,
      { layer },
    );
  }

  /** What a failed check is answered with. The database's errors are handed on as they are. */
  function explain(ctx: Context, { kind }: Credential, error: unknown): unknown {
    if (!(error instanceof RefusedCredential)) return error;
    const { reason, message } = error;
    const challenge = kind === 'bearer' ? bearerChallenge(realm, { description: message }) : plainChallenge;
    return unauthenticated(ctx, reason, message, challenge);
  }

  function unauthenticated(ctx: Context, reason: string, detail: string, challenge: string): AppError {
    log.warning('auth.credentials.refused', { reason, client_address: ctx.clientAddress });
    return new AppError('unauthenticated', detail, { layer, headers: { 'www-authenticate': challenge } });
  }

  return function authenticate(ctx, next) {
    const credential = isLeftOut(ctx) ? undefined : readCredential(ctx);
    if (credential === undefined) return next(ctx);
    ctx.identify = () => authenticator.identify(credential);
    ctx.identifyNow = () =>
      authenticator.identifyNow(credential).catch((error: unknown) => {
        throw explain(ctx, credential, error);
      });
    return after(
      authenticator.identify(credential),
      (principal) => {
        ctx.principal = principal;
        return next(ctx);
      },
      (error: unknown) => {
        throw explain(ctx, credential, error);
      },
    );
  };
}

function isLeftOut(ctx: Context): boolean {
  if (ctx.match.kind !== 'found') return false;
  const { auth } = ctx.match.value.route;
  return auth === 'own' || (auth === 'none' && ctx.isProbe);
}
