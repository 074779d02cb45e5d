/**
 * Mailed tokens of both kinds against a model, in any order of requests, changes of the address, changes of the password
 * and uses: a token is valid exactly while it is valid in the model, and an ended token stays ended.
 */

import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { createPasswordHasher } from '../../../../src/auth/password.ts';
import type { SessionPrincipal } from '../../../../src/auth/principal.ts';
import { AppError } from '../../../../src/errors.ts';
import { createAccount } from '../../../../src/features/identity/account/account.ts';
import { createUsers } from '../../../../src/features/identity/users/users.ts';
import type { Mail } from '../../../../src/mail/mailer.ts';
import { captureLog } from '../../../helpers/captured-log.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { mustCreateAuth, testClient } from '../../../helpers/test-auth.ts';
import { mustOpenSession } from '../../../helpers/test-credentials.ts';

const addresses = ['ada@example.org', 'countess@example.org', 'lovelace@example.org'] as const;
const address = '192.0.2.1';

type Step =
  | { readonly kind: 'requestReset' }
  | { readonly kind: 'requestVerification' }
  | { readonly kind: 'changeEmail'; readonly to: (typeof addresses)[number] }
  | { readonly kind: 'rename' }
  | { readonly kind: 'changePassword' }
  | { readonly kind: 'use'; readonly nth: number; readonly as: 'password_reset' | 'email_verification' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>({ kind: 'requestReset' }),
  fc.constant<Step>({ kind: 'requestVerification' }),
  fc.record({ kind: fc.constant('changeEmail' as const), to: fc.constantFrom(...addresses) }),
  fc.constant<Step>({ kind: 'rename' }),
  fc.constant<Step>({ kind: 'changePassword' }),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('use' as const),
      nth: fc.nat(9),
      as: fc.constantFrom('password_reset' as const, 'email_verification' as const),
    }),
  },
);

interface ModelToken {
  readonly text: string;
  readonly purpose: 'password_reset' | 'email_verification';
  isLive: boolean;
}

it('a mailed token is valid until it is used or its state changes, and never again', async (t) => {
  const { auth, database, mustAddUser } = await mustCreateAuth(t, { now: Date.now });
  const { sql } = database;
  const log = captureLog().log;
  const passwords = createPasswordHasher({ cost: 1 });
  const attempts = {
    underPermit: <T>(_attempt: unknown, compare: () => Promise<T>) => compare(),
    succeeded: async () => {},
  };
  const mails: Mail[] = [];
  const mail = { enabled: true, post: (each: Mail) => void mails.push(each), stop: async () => {} };
  const names = { service: 'Strata', publicUrl: '', prefix: '/api/v1' };
  const apiKeys = { revokeAll: async () => () => {} };
  const account = createAccount({ database, passwords, attempts, auth, apiKeys, mail, log, ...names });
  const authenticator = { forgetUser() {} };
  const cache = { invalidate: async () => {} };
  const parts = { database, passwords, attempts, auth, account, authenticator, cache, log };
  const users = createUsers({ ...parts, ...names });
  let runs = 0;

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 20 }), async (steps) => {
      runs += 1;
      const own = (email: string) => email.replace('@', `_${runs}@`);
      const username = `user_${runs}`;
      const userId = await mustAddUser(username);
      await sql`update users set email = ${own(addresses[0])} where id = ${userId}`;
      let email: string = own(addresses[0]);
      let password = 'the first password';
      let verified = false;
      let changes = 0;
      await sql`update users set password_hash = ${await passwords.hash(password)} where id = ${userId}`;
      const tokens: ModelToken[] = [];
      const endTokens = (purpose?: ModelToken['purpose']) => {
        for (const each of tokens) if (purpose === undefined || each.purpose === purpose) each.isLive = false;
      };

      /** Does what mails a token, and notes the token. */
      async function mustBeMailed(purpose: ModelToken['purpose'], ask: () => Promise<void>): Promise<void> {
        // The limit of an hour is for another test.
        await sql`update one_time_tokens set created_at = created_at - interval '2 hours'`;
        const before = mails.length;
        await ask();
        const texts = () =>
          mails.slice(before).flatMap(({ text }) => text.match(/\bsot_[\w-]{43}(?![\w-])/) ?? []);
        await eventually('the token is mailed', () => texts().length > 0);
        for (const text of texts()) tokens.push({ text, purpose, isLive: true });
      }

      async function caller(): Promise<SessionPrincipal> {
        const { sessionId } = await mustOpenSession(sql, userId);
        return { kind: 'session', sessionId, userId, username, role: 'user' };
      }

      async function use({ text }: ModelToken, as: ModelToken['purpose']): Promise<boolean> {
        const newPassword = `password number ${changes + 1}`;
        const using =
          as === 'password_reset'
            ? account.confirmReset({ token: text, newPassword, address })
            : account.confirmVerification(text);
        return using.then(
          () => true,
          (error: unknown) => {
            assert.ok(error instanceof AppError && error.code === 'validation_failed', String(error));
            return false;
          },
        );
      }

      for (const each of steps) {
        if (each.kind === 'requestReset') {
          await mustBeMailed('password_reset', () => account.requestReset({ email, address }));
        } else if (each.kind === 'requestVerification') {
          if (!verified) await mustBeMailed('email_verification', () => account.requestVerification(userId));
        } else if (each.kind === 'changeEmail') {
          const wanted = own(each.to);
          const change = async () => {
            await users.update({
              caller: await caller(),
              address,
              id: userId,
              patch: { email: wanted, current_password: password },
              condition: () => true,
            });
          };
          if (wanted === email) {
            await change();
          } else {
            endTokens();
            verified = false;
            email = wanted;
            await mustBeMailed('email_verification', change);
          }
        } else if (each.kind === 'rename') {
          changes += 1;
          await users.update({
            caller: await caller(),
            address,
            id: userId,
            patch: { username: `user_${runs}_${changes}` },
            condition: () => true,
          });
        } else if (each.kind === 'changePassword') {
          changes += 1;
          const newPassword = `password number ${changes}`;
          await account.changePassword(await caller(), {
            currentPassword: password,
            newPassword,
            client: testClient,
          });
          password = newPassword;
          endTokens('password_reset');
        } else {
          const token = tokens[each.nth % Math.max(1, tokens.length)];
          if (token === undefined) continue;
          const opens = token.isLive && token.purpose === each.as;
          assert.equal(await use(token, each.as), opens, `${token.purpose} used as ${each.as}`);
          if (!opens) continue;
          verified = true;
          if (each.as === 'password_reset') {
            changes += 1;
            password = `password number ${changes}`;
            endTokens();
          } else {
            endTokens('email_verification');
          }
        }
        const live = await sql<{ count: number }[]>`
          select count(*)::integer as count from one_time_tokens
          where user_id = ${userId} and ended_at is null and expires_at > now()`;
        assert.equal(live[0]?.count, tokens.filter(({ isLive }) => isLive).length);
      }
    }),
    { numRuns: 25 },
  );
});
