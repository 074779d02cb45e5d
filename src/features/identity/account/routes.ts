import { signedInCallerOf } from '../../../http/caller.ts';
import { noContent, reply } from '../../../http/reply.ts';
import { type Route, route } from '../../../http/route.ts';
import type { RouteLimit } from '../../../http/route-declaration.ts';
import { setTokensCookie, tokens, tokensReply } from '../auth/auth.ts';
import type { Account } from './account.ts';
import {
  emailVerification,
  mailRequested,
  passwordChange,
  passwordReset,
  passwordResetRequest,
} from './schema.ts';

export interface AccountRoutesOptions {
  readonly account: Account;
}

const quarterHour = 15 * 60_000;

/** Limits the attempts with mailed tokens, because each attempt with a valid token costs a password hash. */
const confirmLimit: RouteLimit = {
  name: 'one-time-token',
  by: 'address',
  quota: 20,
  windowMs: quarterHour,
};

/** Password and mailbox of the caller's own account. The only credential of a reset is the mailed token. */
export function accountRoutes({ account }: AccountRoutesOptions): Route[] {
  return [
    route({
      method: 'POST',
      path: '/auth/password',
      operationId: 'changePassword',
      summary: 'Change the password',
      description:
        'Requires the current password. Ends all sessions of the caller and returns the tokens of a new one, with the ' +
        'refresh token in the same place as before. API keys stay valid.',
      tags: ['auth'],
      auth: 'user',
      body: passwordChange,
      example: { current_password: 'a former password', new_password: 'correct horse battery staple' },
      responses: {
        200: {
          description: 'The password was changed.',
          schema: tokens,
          headers: { 'Set-Cookie': setTokensCookie },
        },
      },
      problems: ['not_found', 'not_ready', 'database_unavailable'],
      async handler({ body, ctx }) {
        const { grant, transport } = await account.changePassword(signedInCallerOf(ctx), {
          currentPassword: body.current_password,
          newPassword: body.new_password,
          client: { address: ctx.clientAddress, userAgent: ctx.request.headers['user-agent'] },
        });
        return tokensReply(grant, transport);
      },
    }),
    route({
      method: 'POST',
      path: '/auth/password-reset',
      operationId: 'requestPasswordReset',
      summary: 'Request a password reset',
      description:
        'Mails a token to the address if an account has it, at most 3 times per hour. The response is the same if none has it.',
      tags: ['auth'],
      auth: 'own',
      costs: ['mail', 'write'],
      limits: [{ name: 'password-reset', by: 'address', quota: 5, windowMs: quarterHour }],
      body: passwordResetRequest,
      example: { email: 'ada@example.org' },
      responses: {
        202: { description: 'If an account has the address, a mail is being sent.', schema: mailRequested },
      },
      problems: ['mail_disabled', 'not_ready', 'database_unavailable'],
      async handler({ body, ctx }) {
        await account.requestReset({ email: body.email, address: ctx.clientAddress });
        return reply(202, {
          detail:
            'If an account has this address, a mail with a token is being sent to it: check the mailbox.',
        });
      },
    }),
    route({
      method: 'POST',
      path: '/auth/password-reset/confirm',
      operationId: 'confirmPasswordReset',
      summary: 'Set a new password',
      description:
        'Accepts the token of the mail once, within an hour. Ends all sessions, revokes all API keys of the user, and ' +
        'verifies the address.',
      tags: ['auth'],
      auth: 'own',
      costs: ['password-hash', 'mail', 'write'],
      limits: [confirmLimit],
      body: passwordReset,
      example: { token: 'sot_…', new_password: 'correct horse battery staple' },
      responses: { 204: { description: 'The password was set.' } },
      problems: ['not_ready', 'database_unavailable'],
      async handler({ body, ctx }) {
        await account.confirmReset({
          token: body.token,
          newPassword: body.new_password,
          address: ctx.clientAddress,
        });
        return noContent();
      },
    }),
    route({
      method: 'POST',
      path: '/auth/email-verification',
      operationId: 'requestEmailVerification',
      summary: 'Request another verification mail',
      description:
        'Mails a token to the address of the caller, unless it is verified, at most 3 times per hour.',
      tags: ['auth'],
      auth: 'user',
      limits: [{ name: 'email-verification', by: 'user', quota: 5, windowMs: quarterHour }],
      responses: { 202: { description: 'A mail is being sent.', schema: mailRequested } },
      problems: ['mail_disabled', 'database_unavailable'],
      async handler({ ctx }) {
        await account.requestVerification(signedInCallerOf(ctx).userId);
        return reply(202, {
          detail: 'If the address is not verified yet, a mail with a token is being sent: check the mailbox.',
        });
      },
    }),
    route({
      method: 'POST',
      path: '/auth/email-verification/confirm',
      operationId: 'confirmEmail',
      summary: 'Verify the e-mail address',
      description:
        'Accepts the token of the mail once, within a day, and only while the user still has the address.',
      tags: ['auth'],
      auth: 'own',
      costs: ['write'],
      limits: [confirmLimit],
      body: emailVerification,
      example: { token: 'sot_…' },
      responses: { 204: { description: 'The address is verified.' } },
      problems: ['database_unavailable'],
      async handler({ body }) {
        await account.confirmVerification(body.token);
        return noContent();
      },
    }),
  ];
}
