/**
 * Identifies the caller by the credentials of the request: an access token in `Authorization` (RFC 6750, section 2.1), or
 * an API key in the header that the settings name. The result is `ctx.principal`.
 *
 *     no credentials           the request continues without a principal
 *     valid credentials        the request continues
 *     invalid credentials      401, even on an open route: a caller that sends a credential expects it to be used
 *     two credentials          400: the server does not guess which one is meant
 *     database unavailable     503, never 401: a client must not discard a valid token
 *
 * `authorise` decides what the caller may do. This layer skips two kinds of routes: those with a credential of their own
 * (`auth: 'own'`), and open probes. The rate limit does not count probes, so they must not allow guessing credentials or
 * loading the database.
 */

import type { IncomingMessage } from 'node:http';
import {
  type Authenticator,
  type Credential,
  CredentialError,
  type CredentialErrorReason,
} from '../../auth/authenticator.ts';
import type { Principal } from '../../auth/principal.ts';
import { AppError } from '../../errors.ts';
import { after } from '../../http/compose.ts';
import type { Context, Middleware } from '../../http/context.ts';
import { bearerChallenge, bearerToken, countFields } from '../../http/headers/bearer.ts';
import { rejectRequest } from '../../http/problem.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import type { RejectedClients } from '../../observability/rejected-clients.ts';

export interface AuthenticateOptions {
  readonly rejected: RejectedClients;
  readonly metrics: Metrics;
  readonly authenticator: Pick<Authenticator, 'identify' | 'identifyNow'>;
  /** The protection space, sent in `WWW-Authenticate`. */
  readonly realm: string;
  /** The name of the header that carries an API key. */
  readonly apiKeyHeader: string;
}

const layer = 'authenticate';

/** The reasons for which a token is refused that this server has issued: it is not a guess. */
const issuedHere: ReadonlySet<string> = new Set<CredentialErrorReason>([
  'bad_claims',
  'wrong_issuer',
  'wrong_audience',
  'not_yet_valid',
  'expired',
  'session_over',
]);

export function authenticate({
  rejected,
  metrics,
  authenticator,
  realm,
  apiKeyHeader,
}: AuthenticateOptions): Middleware {
  const stale = metrics
    .counter({
      name: 'auth_stale_credentials_total',
      help: 'Access tokens that were rejected although this server had issued them, such as expired ones, which honest clients send too.',
    })
    .of();
  const keyField = apiKeyHeader.toLowerCase();
  const plainChallenge = bearerChallenge(realm);

  /** The challenges by their description; there are as many as reasons. */
  const challenges = new Map<string, string>();
  function challengeFor(description: string): string {
    const known = challenges.get(description);
    if (known !== undefined) return known;
    const challenge = bearerChallenge(realm, { description });
    challenges.set(description, challenge);
    return challenge;
  }

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

  /** Counts raw fields, because Node joins repeated fields or drops all but the first, which hides repetitions. */
  function assertOneCredential({ rawHeaders }: IncomingMessage): void {
    if (countFields(rawHeaders, 'authorization') + countFields(rawHeaders, keyField) <= 1) return;
    throw new AppError(
      'bad_request',
      `The request has more than one credential: send either Authorization or ${apiKeyHeader}, once.`,
      { layer },
    );
  }

  /** Converts a refused credential to the error for the client. Errors of the database pass unchanged. */
  function toClientError(ctx: Context, { kind }: Credential, error: unknown): unknown {
    if (!(error instanceof CredentialError)) return error;
    const { reason, message } = error;
    const challenge = kind === 'bearer' ? challengeFor(message) : plainChallenge;
    return unauthenticated(ctx, reason, message, challenge);
  }

  function unauthenticated(ctx: Context, reason: string, detail: string, challenge: string): AppError {
    rejected.report(ctx, {
      code: 'unauthenticated',
      event: 'auth.credentials.refused',
      json: `,"reason":"${reason}"`,
    });
    const isStale = issuedHere.has(reason);
    if (isStale) stale.add();
    return new AppError('unauthenticated', detail, {
      layer,
      headers: { 'www-authenticate': challenge },
      isGuess: !isStale,
    });
  }

  return function authenticate(ctx, next) {
    const credential = isSkipped(ctx) ? undefined : readCredential(ctx);
    if (credential === undefined) return next(ctx);
    ctx.identify = () => authenticator.identify(credential);
    ctx.identifyNow = () =>
      authenticator.identifyNow(credential).catch((error: unknown) => {
        throw toClientError(ctx, credential, error);
      });
    let found: Principal | Promise<Principal>;
    try {
      found = authenticator.identify(credential);
    } catch (error) {
      const rejection = toClientError(ctx, credential, error);
      if (rejection instanceof AppError) return rejectRequest(ctx, rejection);
      throw rejection;
    }
    return after(
      found,
      (principal) => {
        ctx.principal = principal;
        return next(ctx);
      },
      (error: unknown) => {
        throw toClientError(ctx, credential, error);
      },
    );
  };
}

function isSkipped(ctx: Context): boolean {
  if (ctx.match.kind !== 'found') return false;
  const { auth } = ctx.match.value.route;
  return auth === 'own' || (auth === 'none' && ctx.isProbe);
}
