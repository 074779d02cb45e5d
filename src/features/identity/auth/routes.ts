import * as z from 'zod';
import { AppError } from '../../../errors.ts';
import { signedInCallerOf } from '../../../http/caller.ts';
import type { Context } from '../../../http/context.ts';
import { bearerToken } from '../../../http/headers/bearer.ts';
import { clearHostCookie, readHostCookie } from '../../../http/headers/cookies.ts';
import { createCrossOriginCheck } from '../../../http/headers/cross-origin.ts';
import { noContent } from '../../../http/reply.ts';
import { type Route, route } from '../../../http/route.ts';
import type { Auth, ListedSession } from './auth.ts';
import type { Client } from './grant.ts';
import { loginBody, logoutBody, refreshBody, sessionList, tokens } from './schema.ts';
import { refreshCookie as cookie, setTokensCookie, tokensReply } from './tokens-reply.ts';

export interface AuthRoutesOptions {
  readonly auth: Auth;
  /** The origins whose pages may use the cookie. */
  readonly allowedOrigins: readonly string[];
}

const params = z.object({
  id: z.uuid('Use the id of a session.').toLowerCase().meta({
    description: 'The id of the session.',
    example: '0f8fad5b-d9cb-469f-a165-70867728950e',
  }),
});
const exampleBody = { refresh_token: `srt_${'A'.repeat(80)}` };
const json = 'application/json';
const form = 'application/x-www-form-urlencoded';
const clearCookie = 'Removes the cookie `__Host-refresh` if the request had it.';

/**
 * Routes for signing in and out. A route that uses the cookie first rejects requests from pages of foreign origins, because
 * browsers add cookies to them. A token in a body or in `Authorization` was put there by the page itself.
 */
export function authRoutes({ auth, allowedOrigins }: AuthRoutesOptions): Route[] {
  const assertTrustedOrigin = createCrossOriginCheck(allowedOrigins);

  /** Returns the refresh token of the cookie. Throws an AppError `cross_origin_refused` if a foreign page sends the cookie. */
  function readCookie(ctx: Context): string | undefined {
    const token = readHostCookie(ctx.request.headers.cookie, cookie);
    if (token !== undefined) assertTrustedOrigin(ctx);
    return token;
  }

  /** Whether the request does not come from a page of a foreign origin. */
  function isOwnPage(ctx: Context): boolean {
    try {
      assertTrustedOrigin(ctx);
      return true;
    } catch (error) {
      if (error instanceof AppError) return false;
      throw error;
    }
  }

  return [
    route({
      method: 'POST',
      path: '/auth/login',
      operationId: 'login',
      summary: 'Sign in',
      description:
        'Returns an access token, to be sent as `Authorization: Bearer`, and a refresh token for the next pair. Accepts ' +
        'JSON or the password form of OAuth 2 (RFC 6749, section 4.3). If the request has the cookie of another session, ' +
        'that session is ended.',
      tags: ['auth'],
      auth: 'own',
      costs: ['password-hash', 'write'],
      limits: [{ name: 'login', by: 'address', quota: 10, windowMs: 60_000 }],
      accepts: [json, form],
      body: loginBody,
      example: { username: 'ada_lovelace', password: 'correct horse battery staple' },
      responses: {
        200: { description: 'Signed in.', schema: tokens, headers: { 'Set-Cookie': setTokensCookie } },
      },
      problems: [
        'unauthenticated',
        'cross_origin_refused',
        'rate_limited',
        'not_ready',
        'database_unavailable',
      ],
      async handler({ body, ctx }) {
        // A foreign page must not be able to sign the user in to an attacker's account through the cookie.
        if (body.transport === 'cookie') assertTrustedOrigin(ctx);
        const { username: login, password, transport } = body;
        const former = readHostCookie(ctx.request.headers.cookie, cookie);
        const grant = await auth.login({ login, password, transport }, clientOf(ctx));
        if (former === undefined || !isOwnPage(ctx)) return tokensReply(grant, transport);
        // The browser replaces its cookie, so its previous session would stay live without a client.
        await auth.logoutByToken(former);
        return tokensReply(grant, transport, { replacesCookie: true });
      },
    }),
    route({
      method: 'POST',
      path: '/auth/refresh',
      operationId: 'refresh',
      summary: 'Get the next tokens',
      description:
        'Accepts the refresh token from the body or from the cookie, and returns the next one in the same place. A token ' +
        'can be sent again within 10 seconds and gets the same response; later reuse ends the session, because the token ' +
        'was copied.',
      tags: ['auth'],
      auth: 'own',
      costs: ['write'],
      limits: [{ name: 'refresh', by: 'address', quota: 120, windowMs: 60_000 }],
      accepts: [json, form],
      body: refreshBody,
      example: exampleBody,
      responses: {
        200: { description: 'The next tokens.', schema: tokens, headers: { 'Set-Cookie': setTokensCookie } },
      },
      problems: ['unauthenticated', 'cross_origin_refused', 'database_unavailable'],
      async handler({ body, ctx }) {
        const shown = body?.refresh_token;
        const transport = shown === undefined ? 'cookie' : 'body';
        const grant = await auth.refresh(shown ?? readCookie(ctx) ?? '', clientOf(ctx));
        return tokensReply(grant, transport);
      },
    }),
    route({
      method: 'POST',
      path: '/auth/logout',
      operationId: 'logout',
      summary: 'Sign out',
      description:
        'Ends the sessions of the access token, of the refresh token in the body and of the cookie, as far as they are ' +
        'sent. Missing or invalid tokens are ignored.',
      tags: ['auth'],
      auth: 'own',
      costs: ['write'],
      limits: [{ name: 'logout', by: 'address', quota: 60, windowMs: 60_000 }],
      readsAccessToken: true,
      body: logoutBody,
      example: exampleBody,
      responses: { 204: { description: 'Signed out.', headers: { 'Set-Cookie': clearCookie } } },
      problems: ['cross_origin_refused', 'database_unavailable'],
      async handler({ body, ctx }) {
        const cookieToken = readCookie(ctx);
        const accessToken = bearerToken(ctx.request.headers.authorization);
        if (accessToken !== undefined) await auth.logout(accessToken);
        for (const token of [body?.refresh_token, cookieToken]) {
          if (token !== undefined) await auth.logoutByToken(token);
        }
        return signedOut(ctx);
      },
    }),
    route({
      method: 'POST',
      path: '/auth/logout-all',
      operationId: 'logoutAll',
      summary: 'Sign out everywhere',
      description: 'Ends all sessions of the caller, including this one.',
      tags: ['auth'],
      auth: 'user',
      responses: { 204: { description: 'Signed out.', headers: { 'Set-Cookie': clearCookie } } },
      problems: ['database_unavailable'],
      async handler({ ctx }) {
        await auth.endAll(signedInCallerOf(ctx).userId);
        return signedOut(ctx);
      },
    }),
    route({
      method: 'GET',
      path: '/auth/sessions',
      operationId: 'listSessions',
      summary: 'List sessions',
      description: 'Lists the live sessions of the caller, the most recently used first.',
      tags: ['auth'],
      auth: 'user',
      responses: { 200: { description: 'The live sessions.', schema: sessionList } },
      problems: ['database_unavailable'],
      async handler({ ctx }) {
        const { userId, sessionId } = signedInCallerOf(ctx);
        const sessions = await auth.list(userId);
        return { items: sessions.map((each) => describeSession(each, sessionId)) };
      },
    }),
    route({
      method: 'DELETE',
      path: '/auth/sessions/:id',
      operationId: 'endSession',
      summary: 'End a session',
      description: 'Signs the caller out of this session.',
      tags: ['auth'],
      auth: 'user',
      params,
      responses: { 204: { description: 'The session has ended.' } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params, ctx }) {
        await auth.endOne(signedInCallerOf(ctx).userId, params.id);
        return noContent();
      },
    }),
  ];
}

function clientOf(ctx: Context): Client {
  return { address: ctx.clientAddress, userAgent: ctx.request.headers['user-agent'] };
}

function signedOut(ctx: Context) {
  const hadCookie = ctx.request.headers.cookie?.includes(`__Host-${cookie}=`) === true;
  return noContent(hadCookie ? { 'set-cookie': clearHostCookie(cookie) } : {});
}

/** Returns a session as its user sees it. `currentId` is the session of the request. */
function describeSession({ rotated_at, ...listed }: ListedSession, currentId: string) {
  return { ...listed, current: listed.id === currentId, last_used_at: rotated_at };
}
